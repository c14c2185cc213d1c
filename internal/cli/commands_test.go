package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/cli"
	"github.com/troupebus/troupe/internal/cli/clitest"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/shop/books"
	"github.com/troupebus/troupe/internal/shop/sim"
)

const (
	exitWrong = cli.ExitWrong
	exitUsage = cli.ExitUsage
)

// verification is the outcome of an audit.
type verification = cli.Audit

// booksOf is what an audit says of the shop's books.
func booksOf(v verification) books.Report {
	r, ok := v.Books.(books.Report)
	if ok {
		return r
	}
	text, err := json.Marshal(v.Books) // of an audit that was JSON
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		panic(err)
	}
	return r
}

// shopProgram is the shop of cmd/troupe, without its routes, and with one command, own, that does nothing.
func shopProgram() console.Program {
	return console.Program{Name: "troupe", Wire: func(b *bus.Bus) any { wire(b, nil, 1); return nil }, Books: console.Books{
		Tables: func(ctx context.Context, tables func(string) bus.SQL, settled bool) (console.Report, error) {
			r, err := books.Tables(ctx, tables, settled)
			return console.Report(r), err
		},
		Pages: func(ctx context.Context, look console.Look, progress func(done, of int)) (console.Report, bool, error) {
			r, settled, err := books.Pages(ctx, look, progress)
			return console.Report(r), settled, err
		},
		Observed: func(before time.Time) console.Observer { return shopObserver{books.Observe(before)} },
	}, Commands: []console.Command{{Name: "own", Run: func(context.Context, *console.Call) error { return nil }}}}
}

// shopObserver is the shop's observer for package cli.
type shopObserver struct{ troupe.Observer }

// Report implements console.Observer.
func (o shopObserver) Report() (console.Report, bool) {
	r, ended := o.Observer.Report()
	return console.Report(r), ended
}

// wire puts all modules of the shop on b.
func wire(b *bus.Bus, world *sim.World, parallel int) (*handlers.Orders, *handlers.Stock) {
	orders, stock := handlers.Order(b), handlers.Inventory(b)
	handlers.Payment(b, world, parallel)
	handlers.Shipping(b, world, parallel)
	handlers.Notification(b)
	return orders, stock
}

// ranCommand is what a command left behind.
type ranCommand struct {
	stdout, stderr string
	err            error // what it said last, with its exit code
}

// Output implements clitest.Ran.
func (r ranCommand) Output() (stdout string, code int, err error) {
	return r.stdout, clitest.ExitCode(r.err), r.err
}

// MustRunCommand runs a command of the shop, such as "dlq", with args.
func MustRunCommand(tb testing.TB, command string, args ...string) ranCommand {
	tb.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Run(tb.Context(), shopProgram(), append(strings.Fields(command), args...), &stdout, &stderr)
	before, err := clitest.Outcome("troupe", stderr.String(), code)
	return ranCommand{stdout.String(), before, err}
}

func wantOutput(tb testing.TB, got ranCommand, code int, parts ...string) {
	tb.Helper()
	clitest.WantOutput(tb, got, code, parts...)
}

func mustUnmarshal[T any](tb testing.TB, ran ranCommand) T {
	tb.Helper()
	return clitest.MustUnmarshal[T](tb, ran)
}

// MustChange runs SQL on the file past the journal.
func MustChange(tb testing.TB, path, query string) { cli.MustChange(tb, path, query) }
