// Package cli is the command line of a program of modules. Its commands run the modules, and show and repair the
// journal.
//
// Package troupe is the public interface. Every text has the name of the program. This package has the root command,
// and the commands that run modules or check settings; the packages below have the other commands.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	xterm "golang.org/x/term"

	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/process"
	"github.com/troupebus/troupe/internal/cli/term"
)

// Main runs the command line of the process, and returns the exit code.
func Main(p console.Program) int {
	if isVetTool(os.Args[1:]) {
		runVetTool()
	}
	process.LimitMemory()
	ctx, stop := process.UntilStopped(context.Background())
	defer stop()
	terminal := xterm.IsTerminal(int(os.Stdout.Fd())) && xterm.IsTerminal(int(os.Stderr.Fd()))
	o := &console.Options{Stdin: os.Stdin, Environ: os.Environ(), IsTerminal: terminal}
	return run(ctx, o, p, os.Args[1:], os.Stdout, os.Stderr)
}

// Run runs the command line args of p, in the environment of the process, until ctx ends, and returns the exit code.
// The standard input is empty.
func Run(ctx context.Context, p console.Program, args []string, out, errs io.Writer) int {
	return run(ctx, (&console.Options{Stdin: eof{}, Environ: os.Environ()}), p, args, out, errs)
}

// eof is an empty input.
type eof struct{}

// Read implements io.Reader.
func (eof) Read([]byte) (int, error) { return 0, io.EOF }

func run(ctx context.Context, o *console.Options, p console.Program, args []string, out, errs io.Writer) int {
	o.Program = console.NewWired(p)
	o.Stdout, o.Stderr = term.NewScreen(out, &o.Json), term.NewScreen(errs, nil)
	err := execute(ctx, o, args)
	if e, silent := err.(*console.ExitError); err != nil && (!silent || e.Err != nil) {
		_, _ = fmt.Fprintln(o.Stderr, p.Name+":", console.Cleaned(err.Error())) // the exit code reports the failure, too
	}
	return console.ExitCode(err)
}

// execute runs the command line. A function without an error result panics with the error of Guard, and execute returns
// the error.
func execute(ctx context.Context, o *console.Options, args []string) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		failed, ok := v.(*console.HookError)
		if !ok {
			panic(v)
		}
		err = failed
	}()
	root := newRootCmd(o)
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}
