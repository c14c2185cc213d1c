package bustest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// tenants pays for what is opened, and an hour later notes whose it was: the id must be the tenant's. In several
// deployables, other modules pay and note.
func tenants(apart bool) bustest.System[*bus.Module] {
	sys := bustest.System[*bus.Module]{Open: sqlitetest.Open}
	sys.Wire = func(b *bus.Bus, w *bustest.World) *bus.Module {
		m := b.Module("shop").Emits(opened{})
		bus.On(b.Module("bank"), "pay", func(ctx context.Context, e opened) (bus.Events, error) {
			r := bustest.Request{Op: "pay", Key: bus.Delivery(ctx).ID, Body: bus.Delivery(ctx).Metadata("tenant")}
			_, err := bustest.Ask(ctx, w.Service("bank"), r, func() (bool, error) { return true, nil })
			return bus.Emit(bus.After(time.Hour, closed{e.ID})), err
		}).Emits(closed{}).External(2)
		book := b.Module("book").Migrations(tables("book", "CREATE TABLE %s_rows (id TEXT PRIMARY KEY, tenant TEXT NOT NULL)"))
		bus.On(book, "note", func(ctx context.Context, e closed) (bus.Events, error) {
			_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO book_rows VALUES (?, ?)", e.ID, bus.Delivery(ctx).Metadata("tenant"))
			return nil, err
		})
		return m
	}
	sys.Verify = func(ctx context.Context, tables func(string) bus.SQL, _ *bustest.World) (wrong []string, err error) {
		var right, all int
		err = tables("book").QueryRowContext(ctx, "SELECT count(*), coalesce(sum(id = tenant), 0) FROM book_rows").Scan(&all, &right)
		if all != 2 || right != 2 {
			wrong = append(wrong, fmt.Sprintf("%d rows, %d of the right tenant, want 2", all, right))
		}
		return wrong, err
	}
	if apart {
		sys.Deployables = [][]string{{"shop"}, {"bank"}, {"book"}}
		sys.Join = func(at func(string) *bus.Module) *bus.Module { return at("shop") }
	}
	return sys
}

// twoTenants opens for two tenants, and waits for the notes.
func twoTenants(app *bustest.App[*bus.Module]) {
	for _, tenant := range []string{"acme", "bolt"} {
		app.Must("open for "+tenant, func(ctx context.Context, m *bus.Module) error {
			unit := bus.Unit{Key: bustest.Key(ctx), Body: tenant}
			_, _, err := bus.Do(bus.With(ctx, "tenant", tenant), m, unit, func(context.Context) (int, bus.Events, error) {
				return 0, bus.Emit(opened{ID: tenant}), nil
			})
			return err
		})
	}
	app.Quiet()
	app.Crash()
	app.Advance(2 * time.Hour)
}

// All events of a flow have its metadata, after retries, lost answers, a delay and crashes at every commit.
func TestMetadataExplored(t *testing.T) {
	t.Parallel()
	bustest.Explore(t, tenants(false), bustest.Exploration{Schedules: 60, With: bustest.Groups, Without: bustest.Pauses}, twoTenants)
	bustest.Explore(t, tenants(true), bustest.Exploration{Schedules: 30, Without: bustest.Pauses}, twoTenants)
}

// tired is a store that loses the metadata of what a second attempt emits: a bug.
type tired struct{ journal.Store }

func (s tired) React(ctx context.Context, d *journal.Delivery, w journal.Work, run func(journal.TxFunc) journal.Verdict) error {
	return s.Store.React(ctx, d, w, func(tx journal.TxFunc) journal.Verdict {
		v := run(tx)
		for _, e := range v.Emit {
			if d.Attempt > 1 {
				e.Metadata = nil
			}
		}
		return v
	})
}

// The kit finds metadata that is lost in a retry.
func TestMetadataThatARetryLoses(t *testing.T) {
	t.Parallel()
	sys := tenants(false)
	sys.Open = func(ctx context.Context, path string) (journal.Store, error) {
		store, err := sqlitetest.Open(ctx, path)
		return tired{store}, err
	}
	f := bustest.Search(t, sys, bustest.Exploration{Without: bustest.Pauses}, twoTenants)
	wantFound(t, f, "2 rows, 1 of the right tenant, want 2")
	if len(f.Story) != 1 {
		t.Errorf("story %q", f.Story)
	}
	t.Logf("schedule %d: %q", f.Schedules, f.Story)
}
