// Command victim is the program that the torture test torments. Its modules have ledgers that can be audited, and
// handlers that misbehave on request. The other commands are small tools that use a journal from a separate process.
//
//	victim serve     owns a journal; takes requests on stdin and answers them on stdout, a line of JSON each
//	victim foreign   publishes with SQL, in a transaction of its own
//	victim read      holds a snapshot
//	victim now       prints the time
//	victim through   is the launcher of package disk
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/troupebus/troupe/internal/torture/disk"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "through" { // first: Through must not have other goroutines
		fmt.Fprintln(os.Stderr, disk.Through(os.Args[2:]))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "victim:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	tools := map[string]func(context.Context, []string) error{"serve": serve, "foreign": foreign, "read": read, "now": now}
	if len(args) == 0 || tools[args[0]] == nil {
		return fmt.Errorf("want serve, foreign, read, now or through, got %q", args)
	}
	return tools[args[0]](ctx, args[1:])
}
