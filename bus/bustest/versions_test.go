package bustest_test

import (
	"context"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// Versions of a program that follow each other on one journal: Was, Rebuild and retire, with crashes at every commit.

// version is a version of the program, which has the module "shop".
type version func(b *bus.Bus, w *bustest.World) *bus.Module

// programs is a System that begins with the version first. The bank must have paid once for everything that was opened.
func programs(first version) bustest.System[*bus.Module] {
	return bustest.System[*bus.Module]{
		Open: sqlitetest.Open, Wire: first,
		Verify: func(_ context.Context, _ func(string) bus.SQL, w *bustest.World) (wrong []string, err error) {
			paid := map[any]int{}
			for _, c := range w.Service("bank").Done("pay") {
				if paid[c.Body]++; paid[c.Body] == 2 {
					wrong = append(wrong, fmt.Sprint("the bank has paid twice for ", c.Body))
				}
			}
			return wrong, nil
		},
	}
}

// openOnce publishes one opened for each id, under a key.
func openOnce(app *bustest.App[*bus.Module], ids ...string) {
	for _, id := range ids {
		app.Must("open "+id, func(ctx context.Context, m *bus.Module) error {
			_, _, err := bus.Do(ctx, m, bus.Unit{Key: bustest.Key(ctx), Body: id}, func(context.Context) (int, bus.Events, error) {
				return 0, bus.Emit(opened{id, 1}), nil
			})
			return err
		})
	}
}

// payer is a version with an external subscription of this name, refined.
func payer(name string, refine func(h *bus.Handler[opened])) version {
	return func(b *bus.Bus, w *bustest.World) *bus.Module {
		m := b.Module("shop").Emits(opened{}).ForOutside(opened{})
		if name != "" {
			refine(bus.On(m, name, func(ctx context.Context, e opened) (bus.Events, error) {
				r := bustest.Request{Op: "pay", Key: bus.Delivery(ctx).ID, Body: e.ID}
				_, err := bustest.Ask(ctx, w.Service("bank"), r, func() (bool, error) { return true, nil })
				return nil, err
			}).External(2).ParkKey())
		}
		return m
	}
}

func as(*bus.Handler[opened]) {}

// A renamed subscription calls the outside under one key for each event, whatever is open at the change, and back at
// the older version and again at the newer. Without Was the new name calls again, and a start says that work is left.
func TestRenames(t *testing.T) {
	t.Parallel()
	before := payer("pay", as)
	after := payer("settle", func(h *bus.Handler[opened]) { h.Was("pay") })
	explore := func(quiet bool, versions ...version) bustest.Found {
		return bustest.Search(t, programs(before), bustest.Exploration{Schedules: 60, With: allParts}, func(app *bustest.App[*bus.Module]) {
			openOnce(app, "a", "b")
			for i, v := range versions {
				if quiet {
					app.Quiet()
				}
				app.Deploy(v)
				openOnce(app, fmt.Sprint("c", i))
			}
		})
	}
	if f := explore(false, after, before, after); len(f.Wrong) > 0 {
		t.Errorf("false alarm: %v", f)
	}
	again := explore(true, payer("settle", func(h *bus.Handler[opened]) { h.FromStart() }))
	wantFound(t, again, "the bank has paid twice for a")
	left := explore(false, payer("settle", func(h *bus.Handler[opened]) { h.FromNow() }))
	wantFound(t, left, "shop/pay")
	t.Logf("calls again: schedule %d; left: schedule %d: %v", again.Schedules, left.Schedules, left.Wrong)
}

// A subscription that is no longer wanted is retired with its open work, and the program starts without.
func TestRetirement(t *testing.T) {
	t.Parallel()
	none := payer("", nil)
	explore := func(acts ...bustest.Act) bustest.Found {
		return bustest.Search(t, programs(payer("pay", as)), bustest.Exploration{Schedules: 60, With: allParts}, func(app *bustest.App[*bus.Module]) {
			openOnce(app, "a", "b", "c")
			app.Deploy(none, acts...)
			openOnce(app, "d")
			app.Restart()
		})
	}
	if f := explore(sqlitetest.Retire("shop/pay")); len(f.Wrong) > 0 {
		t.Errorf("false alarm: %v", f)
	}
	wantFound(t, explore(), "shop/pay")
}

// totals is a version with the sum of what was opened, times factor, in each row; rebuilt at that number.
func totals(factor, rebuild int, empties bool) version {
	return func(b *bus.Bus, _ *bustest.World) *bus.Module {
		files := fstest.MapFS{"0001.sql": {Data: []byte("CREATE TABLE shop_totals (id TEXT NOT NULL, n INTEGER NOT NULL)")}}
		if empties {
			files["0002.sql"] = &fstest.MapFile{Data: []byte("DELETE FROM shop_totals")}
		}
		m := b.Module("shop").Emits(opened{}).Migrations(files)
		h := bus.On(m, "total", func(ctx context.Context, e opened) (bus.Events, error) {
			_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO shop_totals VALUES (?, ?)", e.ID, e.N*factor)
			return nil, err
		})
		if rebuild > 0 {
			h.Rebuild(rebuild)
		}
		return m
	}
}

// A read model that is rebuilt has each event once, as the new version reckons. A migration without Rebuild, and
// Rebuild without a migration, are found.
func TestRebuilds(t *testing.T) {
	t.Parallel()
	sys := programs(totals(1, 1, false))
	sys.Verify = func(ctx context.Context, tables func(string) bus.SQL, _ *bustest.World) (wrong []string, err error) {
		var rows, ids, sum int
		err = tables("shop").QueryRowContext(ctx, "SELECT count(*), count(DISTINCT id), sum(n) FROM shop_totals").Scan(&rows, &ids, &sum)
		if rows != 4 || ids != 4 || sum != 40 {
			wrong = append(wrong, fmt.Sprintf("%d rows of %d ids with the sum %d, want 4, 4 and 40", rows, ids, sum))
		}
		return wrong, err
	}
	for name, next := range map[string]version{
		"right": totals(10, 2, true), "no rebuild": totals(10, 1, true), "no migration": totals(10, 2, false),
	} {
		f := bustest.Search(t, sys, bustest.Exploration{Schedules: 60, With: allParts}, func(app *bustest.App[*bus.Module]) {
			openOnce(app, "a", "b", "c")
			app.Deploy(next)
			openOnce(app, "d")
			app.Restart()
		})
		if name == "right" && len(f.Wrong) > 0 {
			t.Errorf("false alarm: %v", f)
		} else if name != "right" {
			wantFound(t, f, "want 4, 4 and 40")
		}
	}
}
