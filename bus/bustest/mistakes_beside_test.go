package bustest_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// What others do beside the system, the clock, and work that shares a commit, as steps of a schedule: a mistake that shows only there,
// in how many schedules it is found, and the right program beside it.

// found is the story that explored finds within so many schedules, which its replay tells once more, byte for byte.
func found(t *testing.T, within int, sys bustest.System[stall], x bustest.Exploration, scenario func(app *bustest.App[stall])) bustest.Found {
	t.Helper()
	x.Schedules = 300
	f := bustest.Search(t, sys, x, scenario)
	if len(f.Wrong) == 0 || f.Schedules > within {
		t.Fatalf("found %q in schedule %d, want it within %d", f.Wrong, f.Schedules, within)
	}
	x.Replay = f.Replay
	again := bustest.Search(t, sys, x, scenario)
	if !reflect.DeepEqual(again.Wrong, f.Wrong) || !reflect.DeepEqual(again.Story, f.Story) || again.Trees != f.Trees {
		t.Errorf("replay: %v\nwant %v", again, f)
	}
	t.Logf("schedule %d: %s", f.Schedules, strings.Join(f.Story, "; "))
	return f
}

// noAlarm fails for a right program that the kit blames.
func noAlarm(t *testing.T, sys bustest.System[stall], x bustest.Exploration, scenario func(app *bustest.App[stall])) {
	t.Helper()
	x.Schedules = 100
	if f := bustest.Search(t, sys, x, scenario); len(f.Wrong) > 0 {
		t.Errorf("false alarm: %v", f)
	}
}

// allParts are all part that makes trouble, also those that are left out otherwise.
const allParts = bustest.Optional

// late pays for what is opened, and closes it after an hour: what is not paid by then is refused. gives has a payment that comes later
// given back.
func late(gives bool) bustest.System[stall] {
	sys := mistake(func(m *bus.Module, w *bustest.World) {
		bus.On(m, "pay", func(ctx context.Context, e opened) (bus.Events, error) {
			_, err := bustest.Ask(ctx, w.Service("bank"), bustest.Request{Op: "pay", Key: e.ID}, func() (bool, error) { return true, nil })
			return bus.Emit().Also(func(ctx context.Context) error {
				if n, err := rowsOf(ctx, "refused"); err != nil || n > 0 && gives {
					return errors.Join(err, insert(ctx, "given back", 1))
				}
				return insert(ctx, "paid", 1)
			}), err
		}).External(1).Retry(bus.Retry{Attempts: -1})
		bus.On(m, "wait", func(_ context.Context, e opened) (bus.Events, error) {
			return bus.Emit(bus.After(time.Hour, closed{e.ID})), nil
		}).Emits(closed{})
		bus.On(m, "refuse", func(ctx context.Context, _ closed) (bus.Events, error) {
			if n, err := rowsOf(ctx, "paid"); err != nil || n > 0 {
				return nil, err
			}
			return nil, insert(ctx, "refused", 1)
		}).AnyOrder()
	})
	sys.Verify = func(ctx context.Context, tables func(string) bus.SQL, _ *bustest.World) ([]string, error) {
		var both bool
		err := tables("shop").QueryRowContext(ctx, "SELECT count(DISTINCT id) = 2 FROM shop_rows WHERE id IN ('paid', 'refused')").Scan(&both)
		if both {
			return []string{"it is refused, and paid for"}, err
		}
		return nil, err
	}
	return sys
}

func rowsOf(ctx context.Context, id string) (n int, err error) {
	err = bus.Tx(ctx).QueryRowContext(ctx, "SELECT count(*) FROM shop_rows WHERE id = ?", id).Scan(&n)
	return n, err
}

func TestAPersonReplaysLate(t *testing.T) {
	t.Parallel()
	scenario := func(app *bustest.App[stall]) {
		app.Expect("shop/pay")
		open(app, "a")
		app.Beside("a person's replay", sqlitetest.Replay("shop/pay"))
		app.Advance(2 * time.Hour)
	}
	f := found(t, 300, late(false), bustest.Exploration{Without: bustest.Pauses}, scenario)
	wantFound(t, f, "it is refused, and paid for")
	if n := len(f.Story); n > 3 || !strings.Contains(f.Story[n-1], "a person's replay waits until after shop/refuse of shop.closed a") {
		t.Errorf("story %q", f.Story)
	}
	noAlarm(t, late(true), bustest.Exploration{With: allParts}, scenario)
}

// The same seed gives the same story with all parts, too.
func TestSeedOfAllParts(t *testing.T) {
	t.Parallel()
	scenario := func(app *bustest.App[stall]) {
		app.Expect("shop/pay")
		open(app, "a")
		app.Beside("a person's replay", sqlitetest.Replay("shop/pay"))
		app.Together(
			func(c *bustest.Client[stall]) { openBy(c, "b") },
			func(c *bustest.Client[stall]) { openBy(c, "c") },
		)
		app.Advance(2 * time.Hour)
	}
	x := bustest.Exploration{With: allParts, Schedules: 300, Seed: 7}
	first := bustest.Search(t, late(false), x, scenario)
	if second := bustest.Search(t, late(false), x, scenario); len(first.Wrong) == 0 || !reflect.DeepEqual(first, second) {
		t.Errorf("the same seed came to\n%v\nand to\n%v", first, second)
	}
}

func openBy(c *bustest.Client[stall], id string) {
	c.Must("open "+id, func(ctx context.Context, s stall) error {
		_, err := s.Publish(ctx, opened{id, 1})
		return err
	})
}

// What a person does is done between any two steps, and the system hears of it a step later.
func TestPeopleAtAnyMoment(t *testing.T) {
	t.Parallel()
	sys := mistake(called(func(ctx context.Context, e opened, err error) (bus.Events, error) {
		return bus.Emit().Also(func(ctx context.Context) error { return insert(ctx, e.ID, e.N) }), err
	}))
	wire := sys.Wire
	sys.Wire = func(b *bus.Bus, w *bustest.World) stall {
		s := wire(b, w)
		bus.On(s.Module, "order", func(ctx context.Context, e opened) (bus.Events, error) {
			if err := insert(ctx, "of "+e.ID, e.N); err != nil || e.N%2 == 1 {
				return nil, errors.Join(err, bus.Dead(errors.New("odd")))
			}
			return nil, nil
		}).ParkKey()
		return s
	}
	noAlarm(t, sys, bustest.Exploration{With: allParts}, func(app *bustest.App[stall]) {
		app.Expect("shop/call", "shop/order")
		open(app, "a", "b")
		app.Beside("a person's replay of orders", sqlitetest.Replay("shop/order"))
		app.Beside("a person's replay of calls", sqlitetest.Replay("shop/call"))
		app.Beside("a person's retry", sqlitetest.Retry("shop/call"))
		app.Beside("a person's drop", sqlitetest.Drop("shop/order"))
		app.Beside("the till's row", sqlitetest.Write("shop", "INSERT INTO shop_rows (id, n) VALUES ('till', 1)"))
		open(app, "c")
		app.WhileStopped("a person's resend", sqlitetest.Resend("shop"))
	})
}

// A foreign program publishes beside the shop's own events. Who takes it that nobody does counts wrong.
func TestAForeignPublisher(t *testing.T) {
	t.Parallel()
	books := func(read bool) bustest.System[stall] {
		return mistake(func(m *bus.Module, _ *bustest.World) {
			n := 0
			bus.On(m, "number", func(ctx context.Context, _ opened) (bus.Events, error) {
				if read || n == 0 {
					var err error
					if n, err = rowsOf(ctx, "number"); err != nil {
						return nil, err
					}
				}
				n++
				return nil, insert(ctx, "number", n)
			})
			bus.On(m, "other", func(ctx context.Context, _ closed) (bus.Events, error) { return nil, insert(ctx, "number", 100) }).AnyOrder()
		})
	}
	scenario := func(app *bustest.App[stall]) {
		open(app, "a")
		app.Beside("the till's end", sqlitetest.Publish("shop", "shop.closed", "till-1", "b", closed{"b"}))
		open(app, "c")
	}
	x := bustest.Exploration{Same: rows, Without: bustest.Again | bustest.Crashes | bustest.Refusals}
	f := found(t, 60, books(false), x, scenario)
	wantFound(t, f, "the final state depends on the schedule")
	if len(f.Story) > 2 || !strings.Contains(f.Story[len(f.Story)-1], " waits until after ") {
		t.Errorf("story %q", f.Story)
	}
	noAlarm(t, books(true), bustest.Exploration{With: allParts, Without: bustest.Books}, scenario)
}

// A clock that is set: an event seems a day old, or from the future.
func TestAClockThatIsSet(t *testing.T) {
	t.Parallel()
	ages := func(wrong func(age time.Duration) bool) bustest.System[stall] {
		return mistake(func(m *bus.Module, _ *bustest.World) {
			bus.On(m, "book", func(ctx context.Context, e opened) (bus.Events, error) {
				if wrong(time.Since(bus.Delivery(ctx).Time)) {
					return nil, bus.Dead(errors.New("that cannot be"))
				}
				return nil, insert(ctx, e.ID, e.N)
			})
			bus.On(m, "remind", func(_ context.Context, e opened) (bus.Events, error) {
				return bus.Emit(bus.After(time.Hour, closed{e.ID})), nil
			}).Emits(closed{})
			bus.On(m, "close", func(ctx context.Context, e closed) (bus.Events, error) { return nil, insert(ctx, "closed "+e.ID, 1) }).AnyOrder()
		})
	}
	scenario := func(app *bustest.App[stall]) {
		open(app, "a", "b")
		app.Advance(3 * time.Hour)
	}
	x := bustest.Exploration{With: bustest.Clocks}
	for way, wrong := range map[string]func(age time.Duration) bool{
		"forward by 25h": func(age time.Duration) bool { return age > 20*time.Hour },
		"back by ":       func(age time.Duration) bool { return age < 0 },
	} {
		f := found(t, 100, ages(wrong), x, scenario)
		wantFound(t, f, "that cannot be")
		if len(f.Story) != 1 || !strings.Contains(f.Story[0], "the clock is set "+way) {
			t.Errorf("story %q", f.Story)
		}
		noAlarm(t, ages(wrong), bustest.Exploration{Without: bustest.Starts | bustest.Pauses}, scenario)
	}
	noAlarm(t, ages(func(time.Duration) bool { return false }), bustest.Exploration{With: allParts}, scenario)
}

// A number that is read beside the transaction: two reactions that share a commit see the same.
func TestReadingBesideTheTransaction(t *testing.T) {
	t.Parallel()
	var paths sync.Map // by world
	numbers := func(beside bool) bustest.System[stall] {
		return mistake(func(m *bus.Module, w *bustest.World) {
			bus.On(m, "number", func(ctx context.Context, _ opened) (bus.Events, error) {
				n, err := rowsOf(ctx, "number")
				if path, ok := paths.Load(w); ok && beside && err == nil {
					n, err = rowsBeside(ctx, path.(string))
				}
				return nil, errors.Join(err, insert(ctx, "number", n))
			})
		})
	}
	scenario := func(app *bustest.App[stall]) {
		app.Beside("the opening of a pool of readers", func(_ context.Context, journal func(string) string) error {
			paths.Store(app.World(), journal("shop"))
			return nil
		})
		app.Quiet()
		open(app, "a", "b")
	}
	x := bustest.Exploration{Without: bustest.Crashes}
	noAlarm(t, numbers(true), x, scenario) // one at a time it is right
	x.With = bustest.Groups
	f := found(t, 30, numbers(true), x, scenario)
	wantFound(t, f, "rows that are there twice: number")
	if want := "shop/number of shop.opened a and shop/number of shop.opened b share a commit"; len(f.Story) != 1 || f.Story[0] != want {
		t.Errorf("story %q, want %q", f.Story, want)
	}
	noAlarm(t, numbers(false), bustest.Exploration{With: allParts}, scenario)
}

// rowsBeside counts the rows as a pool of readers does, past the transaction.
func rowsBeside(ctx context.Context, path string) (n int, err error) {
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	if err != nil {
		return 0, err
	}
	err = db.QueryRowContext(ctx, "SELECT count(*) FROM shop_rows").Scan(&n)
	return n, errors.Join(err, db.Close())
}

// Of a group, one is refused, or all of it is written once more: what the others did is there once, and a handler that has
// counted its runs in memory is wrong.
func TestAGroupOfWhichOneFails(t *testing.T) {
	t.Parallel()
	counts := func(memory bool) bustest.System[stall] {
		return mistake(func(m *bus.Module, _ *bustest.World) {
			runs := 0
			for i := range 3 {
				bus.On(m, fmt.Sprint("count-", i), func(ctx context.Context, e opened) (bus.Events, error) {
					n, err := rowsOf(ctx, e.ID)
					if runs++; memory {
						n = runs
					}
					return nil, errors.Join(err, insert(ctx, e.ID, n))
				})
			}
		})
	}
	scenario := func(app *bustest.App[stall]) { open(app, "a") }
	x := bustest.Exploration{
		Same: rows, With: bustest.Groups,
		Without: bustest.Crashes | bustest.Twice | bustest.Again | bustest.Pauses | bustest.Refusals,
	}
	f := found(t, 60, counts(true), x, scenario)
	wantFound(t, f, "the final state depends on the schedule")
	if len(f.Story) != 1 || !strings.Contains(f.Story[0], "share a commit with failing work, and are written once more") {
		t.Errorf("story %q", f.Story)
	}
	x.Without = bustest.Crashes | bustest.Twice | bustest.Again | bustest.Pauses
	noAlarm(t, counts(false), x, scenario)
	noAlarm(t, counts(false), bustest.Exploration{With: allParts, Same: rows}, scenario)
}
