package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/internal/cli/clitest"
	"github.com/troupebus/troupe/internal/shop/books"
	"github.com/troupebus/troupe/transports/sqlite"
)

// Exit codes of the program.
const (
	exitWrong = 1 // a mistake in the journal, the books, or the world
	exitUsage = 2 // a mistake in the command line
)

// ranCommand is the result of a command.
type ranCommand struct {
	stdout, stderr string
	err            error // the last error, with its exit code; nil with exit code 0
}

// Output implements clitest.Ran.
func (r ranCommand) Output() (stdout string, code int, err error) {
	return r.stdout, exitCode(r.err), r.err
}

func exitCode(err error) int { return clitest.ExitCode(err) }

// MustRunCommand runs a command of the shop, such as "dlq replay", with args on buffers.
func MustRunCommand(tb testing.TB, command string, args ...string) ranCommand {
	tb.Helper()
	return MustRunCommandIn(tb, tb.Context(), command, args...)
}

// MustRunCommandIn runs the command until ctx ends.
func MustRunCommandIn(tb testing.TB, ctx context.Context, command string, args ...string) ranCommand {
	tb.Helper()
	return runApp(ctx, newShop().app(), append(strings.Fields(command), args...)...)
}

// runApp runs the command line args of a.
func runApp[S any](ctx context.Context, a troupe.App[S], args ...string) ranCommand {
	var stdout, stderr bytes.Buffer
	code := troupe.Run(ctx, a, args, &stdout, &stderr)
	ran := ranCommand{stdout: stdout.String(), stderr: stderr.String()}
	ran.stderr, ran.err = clitest.Outcome(a.Name, ran.stderr, code)
	return ran
}

// start runs a command of the shop until stop, or until the end of the test. The reader gets the command's stdout.
func start(tb testing.TB, log io.Writer, args ...string) (stdout *io.PipeReader, stop context.CancelFunc, ended <-chan error) {
	return startApp(tb, newShop().app(), log, args...)
}

// startApp runs a command of a until stop, or until the end of the test.
func startApp[S any](tb testing.TB, a troupe.App[S], log io.Writer, args ...string) (stdout *io.PipeReader, stop context.CancelFunc, ended <-chan error) {
	ctx, stop := context.WithCancel(context.Background())
	stdout, w := io.Pipe()
	over, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		var text syncedLog
		code := troupe.Run(ctx, a, args, w, io.MultiWriter(log, &text))
		_, err := clitest.Outcome(a.Name, text.String(), code)
		over <- err
		_ = w.CloseWithError(errors.Join(errors.New(args[0]+" has ended"), err))
	}()
	tb.Cleanup(func() {
		stop()
		<-done
	})
	return stdout, stop, over
}

func wantOutput(tb testing.TB, got ranCommand, code int, parts ...string) {
	tb.Helper()
	clitest.WantOutput(tb, got, code, parts...)
}

func mustUnmarshal[T any](tb testing.TB, ran ranCommand) T {
	tb.Helper()
	return clitest.MustUnmarshal[T](tb, ran)
}

// verification is the output of verify --json.
type verification struct {
	OK       bool          `json:"ok"`
	Settled  bool          `json:"settled"`
	Wrong    []string      `json:"wrong"`
	Books    *books.Report `json:"books"` // nil if the books were not checked
	Stats    sqlite.Stats  `json:"journal"`
	OnTheWay int           `json:"on_the_way"`
	Unread   []string      `json:"unread"`
	Journals []struct {
		Path    string       `json:"path"`
		Modules []string     `json:"modules"`
		Stats   sqlite.Stats `json:"journal"`
	} `json:"journals"`
}

// waiting returns the number of events that subscriptions have not handled.
func (v *verification) waiting() (n int64) {
	for _, s := range v.Stats.Subscriptions {
		if s.Kind == "bus" {
			n += s.Lag
		}
	}
	return n
}

// MustVerify audits the shop by the journals at paths. A mistake in the shop does not fail the test.
func MustVerify(tb testing.TB, paths ...string) verification {
	tb.Helper()
	args := []string{"--json"}
	for _, path := range paths {
		args = append(args, "--journal", path)
	}
	ran := MustRunCommand(tb, "verify", args...)
	v := mustUnmarshal[verification](tb, ran)
	if (ran.err == nil) != v.OK || ran.err != nil && exitCode(ran.err) != exitWrong {
		tb.Fatalf("verify: %v, %+v", ran.err, v)
	}
	return v
}

// readJournal runs fn on the journal at path, which may be in use.
func readJournal(ctx context.Context, path string, fn func(*sqlite.Reader) error) error {
	r, err := sqlite.OpenReader(ctx, path)
	if err != nil {
		return err
	}
	return errors.Join(fn(r), r.Close())
}

// readJournals runs fn on the journals at paths, which may be in use.
func readJournals(ctx context.Context, paths []string, fn func([]*sqlite.Reader) error) error {
	var open func(readers []*sqlite.Reader) error
	open = func(readers []*sqlite.Reader) error {
		if len(readers) == len(paths) {
			return fn(readers)
		}
		return readJournal(ctx, paths[len(readers)], func(r *sqlite.Reader) error { return open(append(slices.Clip(readers), r)) })
	}
	return open(nil)
}

// shopWiring returns the declarations of the shop's modules.
func shopWiring() bus.Wiring {
	b := bus.New(nil, bus.Config{})
	newShop().wire(b)
	return b.Wiring()
}
