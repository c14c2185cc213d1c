// Command troupe runs the shop: five modules that react to each other's events, in one process on one journal.
//
// It is also how a journal is looked into and kept in order: traces, events, dead letters, the books.
package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/term"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	limitMemory()
	ctx, stop := untilStopped(context.Background())
	defer stop()
	o := &options{
		isTerminal: term.IsTerminal(int(os.Stdout.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
	}
	o.stdout, o.stderr = &screen{w: os.Stdout, json: &o.json}, &screen{w: os.Stderr}
	root := newRootCmd(o)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if e, silent := err.(*exitError); err != nil && (!silent || e.err != nil) {
		fmt.Fprintln(o.stderr, "troupe:", cleaned(err.Error()))
	}
	return exitCode(err)
}
