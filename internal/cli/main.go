// Package cli is the command line of a program made of modules: it runs them, and it shows their journal and keeps it
// in order.
//
// Package troupe is its public face. Every text speaks the name of the program.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// Main runs the command line of the process, and returns the exit code.
func Main(p Program) int {
	limitMemory()
	ctx, stop := untilStopped(context.Background())
	defer stop()
	o := &options{stdin: os.Stdin, environ: os.Environ(), isTerminal: term.IsTerminal(int(os.Stdout.Fd())) && term.IsTerminal(int(os.Stderr.Fd()))}
	return o.run(ctx, p, os.Args[1:], os.Stdout, os.Stderr)
}

// Run runs the command line of p that args are, in the environment of the process, until ctx ends. It returns the
// exit code. Nothing is read from standard input.
func Run(ctx context.Context, p Program, args []string, out, errs io.Writer) int {
	return (&options{stdin: eof{}, environ: os.Environ()}).run(ctx, p, args, out, errs)
}

// eof is an input without anything in it.
type eof struct{}

// Read implements io.Reader.
func (eof) Read([]byte) (int, error) { return 0, io.EOF }

func (o *options) run(ctx context.Context, p Program, args []string, out, errs io.Writer) int {
	o.program = newProgram(p)
	o.stdout, o.stderr = &screen{w: out, json: &o.json}, &screen{w: errs}
	err := o.execute(ctx, args)
	if e, silent := err.(*exitError); err != nil && (!silent || e.err != nil) {
		_, _ = fmt.Fprintln(o.stderr, p.Name+":", cleaned(err.Error())) // nothing else can be told
	}
	return exitCode(err)
}

// execute runs the command line. A panic of a hook is an error: where a function returns none, guard's error comes here
// as a panic.
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
