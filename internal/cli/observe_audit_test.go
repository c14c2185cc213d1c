package cli_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli"
	"github.com/troupebus/troupe/internal/shop/shoptest"
	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// audits has the shop audited in every state that its orders can be in, and returns what is said.
func audits(app *shopApp, verify func() verification) (said []string) {
	say := func() {
		app.Advance(10 * time.Second)
		v := verify()
		text, err := cli.Text(&v, shopProgram(), "JOURNAL")
		if err != nil {
			app.T().Fatal(err)
		}
		said = append(said, text)
	}
	app.Expect("payment/charge")
	everyEnd(app, func() {})
	say()
	for range 8 {
		app.World().Service("gateway").Next("charge", bustest.Fails)
	}
	orderOne(app, "late", "MUG")
	say()
	app.Quiet()
	say()
	app.Replay("payment/charge")
	app.Quiet()
	say()
	return said
}

// What verify says of the shop by its tables, it says by what was observed. Only of an order that is wrong, it knows where it
// stopped, and not what a module wrote down before.
func TestObserverAuditsLikeOneShop(t *testing.T) {
	t.Parallel()
	var want, got []string
	path := ""
	one := shoptest.System()
	one.Open = func(ctx context.Context, p string) (journal.Store, error) {
		path = p
		return sqlitetest.Open(ctx, p)
	}
	bustest.Run(t, one, func(app *shopApp) {
		want = audits(app, func() (v verification) {
			err := cli.ReadJournal(app.Context(), path, func(r *sqlite.Reader) (err error) {
				v, err = cli.AuditOne(app.Context(), shopProgram(), r)
				return err
			})
			if err != nil {
				app.T().Fatal(err)
			}
			return v
		})
	})
	watch(t, func(w *watched) { got = audits(w.shopApp, w.peek) })
	const dead = 2
	for _, said := range []*string{&want[dead], &got[dead]} {
		*said = strings.NewReplacer("payment is charging", "payment is missing", "; dead: payment/charge", "").Replace(*said)
	}
	if !slices.Equal(got, want) || !strings.Contains(want[1], "1 retrying") || !strings.Contains(want[dead], "1 wrong") {
		t.Errorf("the observer says\n%s\nin one process it was\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
