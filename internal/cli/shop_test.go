package cli

import (
	"bytes"
	"context"
	"database/sql"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // for MustChange
	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/shop/sim"
)

// shop is the program of the tests in this package: the modules of cmd/troupe, without their routes, books and commands.
func shop() *console.Wired {
	var settings struct {
		Seed    uint64        `setting:"seed" default:"1" value:"SEED" help:"seed for the failures of the simulated gateway and carrier"`
		Latency time.Duration `setting:"latency" default:"40ms" help:"average time of a call to the gateway or the carrier"`
	}
	return console.NewWired(console.Program{Name: "troupe", Settings: &settings, Wire: func(b *bus.Bus) any {
		var world *sim.World
		handlers.Order(b)
		handlers.Inventory(b)
		handlers.Payment(b, world, 1)
		handlers.Shipping(b, world, 1)
		handlers.Notification(b)
		return nil
	}})
}

// ranCommand is what a command left behind.
type ranCommand struct {
	stdout, stderr string
	err            error
}

// MustRunCommand runs a command of the shop with args on buffers. A flag --json among args is that of the root.
func MustRunCommand(tb testing.TB, newCmd func(*console.Options) *cobra.Command, args ...string) ranCommand {
	tb.Helper()
	return MustRunCommandIn(tb, tb.Context(), newCmd, args...)
}

// MustRunCommandIn does so until ctx ends.
func MustRunCommandIn(tb testing.TB, ctx context.Context, newCmd func(*console.Options) *cobra.Command, args ...string) ranCommand {
	tb.Helper()
	var stdout, stderr bytes.Buffer
	o := &console.Options{Program: shop(), Stdout: &stdout, Stderr: &stderr}
	cmd := newCmd(o)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	o.Bind(cmd)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	return ranCommand{stdout.String(), stderr.String(), err}
}

// MustChange runs SQL on the file past the journal.
func MustChange(tb testing.TB, path, query string) {
	tb.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	res, err := db.ExecContext(tb.Context(), query)
	if err != nil {
		tb.Fatal(err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		tb.Fatalf("%s changed nothing: %v", query, err)
	}
}
