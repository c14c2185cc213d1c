// Package cli is the command line of a program of modules. Its commands run the modules, and show and repair the
// journal.
//
// Package troupe is the public interface. Every text has the name of the program.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	xterm "golang.org/x/term"

	"github.com/troupebus/troupe/internal/cli/process"
	"github.com/troupebus/troupe/internal/cli/term"
)

// Main runs the command line of the process, and returns the exit code.
func Main(p Program) int {
	process.LimitMemory()
	ctx, stop := process.UntilStopped(context.Background())
	defer stop()
	terminal := xterm.IsTerminal(int(os.Stdout.Fd())) && xterm.IsTerminal(int(os.Stderr.Fd()))
	o := &options{stdin: os.Stdin, environ: os.Environ(), isTerminal: terminal}
	return o.run(ctx, p, os.Args[1:], os.Stdout, os.Stderr)
}

// Run runs the command line args of p, in the environment of the process, until ctx ends, and returns the exit code.
// The standard input is empty.
func Run(ctx context.Context, p Program, args []string, out, errs io.Writer) int {
	return (&options{stdin: eof{}, environ: os.Environ()}).run(ctx, p, args, out, errs)
}

// eof is an empty input.
type eof struct{}

// Read implements io.Reader.
func (eof) Read([]byte) (int, error) { return 0, io.EOF }

func (o *options) run(ctx context.Context, p Program, args []string, out, errs io.Writer) int {
	o.program = newProgram(p)
	o.stdout, o.stderr = term.NewScreen(out, &o.json), term.NewScreen(errs, nil)
	err := o.execute(ctx, args)
	if e, silent := err.(*exitError); err != nil && (!silent || e.err != nil) {
		_, _ = fmt.Fprintln(o.stderr, p.Name+":", cleaned(err.Error())) // the exit code reports the failure, too
	}
	return exitCode(err)
}

// execute runs the command line. A function without an error result panics with the error of guard, and execute returns
// the error.
func (o *options) execute(ctx context.Context, args []string) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		failed, ok := v.(*hookError)
		if !ok {
			panic(v)
		}
		err = failed
	}()
	root := newRootCmd(o)
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}
