package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// Exit codes of the program.
const (
	exitWrong = 1 // a failure, or a mistake in a journal or in the books
	exitUsage = 2 // a mistake in the command line or the settings
)

// options has the state and the flags that all commands share.
type options struct {
	program        *program
	environ        []string // as os.Environ returns it
	stdin          io.Reader
	stdout, stderr io.Writer
	isTerminal     bool // a person reads stdout and stderr
	json           bool
	noColor        bool
}

// bind adds the flags of all commands to cmd, the root, and makes mistakes in flags usage errors.
func (o *options) bind(cmd *cobra.Command) {
	cmd.PersistentFlags().BoolVar(&o.json, "json", o.json, "print JSON instead of text")
	cmd.PersistentFlags().BoolVar(&o.noColor, "no-color", o.noColor, "print no colours (also: NO_COLOR in the environment)")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageErrorf("%w\nsee '%s --help'", err, cmd.CommandPath())
	})
}

// color reports whether text for stdout has colours (https://no-color.org).
func (o *options) color() bool {
	return o.isTerminal && !o.noColor && !o.json && os.Getenv("NO_COLOR") == ""
}

// printJSON writes v to stdout, indented.
func (o *options) printJSON(v any) error {
	e := json.NewEncoder(o.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// jsonArray writes a JSON array like printJSON, element by element: the whole array may not fit into memory.
type jsonArray struct {
	w io.Writer
	n int
}

func (a *jsonArray) add(v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("  ", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	before := ",\n  "
	if a.n++; a.n == 1 {
		before = "[\n  "
	}
	_, err := fmt.Fprintf(a.w, "%s%s", before, bytes.TrimRight(b.Bytes(), "\n"))
	return err
}

func (a *jsonArray) end() error {
	end := "\n]\n"
	if a.n == 0 {
		end = "[]\n"
	}
	_, err := io.WriteString(a.w, end)
	return err
}

// exitError ends the program with code. A nil err prints nothing.
type exitError struct {
	code int
	err  error
}

// Error implements error.
func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

// Unwrap returns the error, or nil.
func (e *exitError) Unwrap() error { return e.err }

// usageErrorf returns an error with the exit code exitUsage.
func usageErrorf(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// usageArgs returns check with usage errors.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageErrorf("%w\nsee '%s --help'", err, cmd.CommandPath())
		}
		return nil
	}
}

// exitCode returns the exit code for err.
func exitCode(err error) int {
	var e *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.code
	default:
		return exitWrong
	}
}
