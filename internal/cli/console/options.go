package console

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
	ExitWrong = 1 // a failure, or a mistake in a journal or in the books
	ExitUsage = 2 // a mistake in the command line or the settings
)

// Options has the state and the flags that all commands share.
type Options struct {
	Program        *Wired
	Environ        []string // as os.Environ returns it
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	IsTerminal     bool // a person reads stdout and stderr
	Json           bool
	NoColor        bool
}

// Bind adds the flags of all commands to cmd, the root, and makes mistakes in flags usage errors.
func (o *Options) Bind(cmd *cobra.Command) {
	cmd.PersistentFlags().BoolVar(&o.Json, "json", o.Json, "print JSON instead of text")
	cmd.PersistentFlags().BoolVar(&o.NoColor, "no-color", o.NoColor, "print no colours (also: NO_COLOR in the environment)")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 { // the flag is of a mistyped command
			return OnlyCommands(cmd, words)
		}
		return UsageErrorf("%w\nsee '%s --help'", err, cmd.CommandPath())
	})
}

// Color reports whether text for stdout has colours (https://no-color.org).
func (o *Options) Color() bool {
	return o.IsTerminal && !o.NoColor && !o.Json && os.Getenv("NO_COLOR") == ""
}

// PrintJSON writes v to stdout, indented.
func (o *Options) PrintJSON(v any) error {
	e := json.NewEncoder(o.Stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// JSONArray writes a JSON array like PrintJSON, element by element: the whole array may not fit into memory.
type JSONArray struct {
	W io.Writer
	n int
}

// Add writes the next element.
func (a *JSONArray) Add(v any) error {
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
	_, err := fmt.Fprintf(a.W, "%s%s", before, bytes.TrimRight(b.Bytes(), "\n"))
	return err
}

// End ends the array.
func (a *JSONArray) End() error {
	end := "\n]\n"
	if a.n == 0 {
		end = "[]\n"
	}
	_, err := io.WriteString(a.W, end)
	return err
}

// ExitError ends the program with code. A nil err prints nothing.
type ExitError struct {
	Code int
	Err  error
}

// Error implements error.
func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns the error, or nil.
func (e *ExitError) Unwrap() error { return e.Err }

// UsageErrorf returns an error with the exit code ExitUsage.
func UsageErrorf(format string, args ...any) error {
	return &ExitError{Code: ExitUsage, Err: fmt.Errorf(format, args...)}
}

// UsageArgs returns check with usage errors.
func UsageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return UsageErrorf("%w\nsee '%s --help'", err, cmd.CommandPath())
		}
		return nil
	}
}

// NoArgs is the check of the arguments for a command without arguments.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if f := cmd.Flags().Lookup("journal"); f != nil && !f.Changed {
		hint = ": name the journal with --journal " + QuoteArg(args[0])
	}
	return UsageErrorf("%s takes no arguments%s\nsee '%s --help'", cmd.Name(), hint, cmd.CommandPath())
}

// OnlyCommands is the check of the arguments for a command that has only commands below it.
func OnlyCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = ": did you mean " + near[0] + "?"
	}
	return UsageErrorf("unknown command %q%s\nsee '%s --help'", args[0], hint, cmd.CommandPath())
}

// ExitCode returns the exit code for err.
func ExitCode(err error) int {
	var e *ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.Code
	default:
		return ExitWrong
	}
}
