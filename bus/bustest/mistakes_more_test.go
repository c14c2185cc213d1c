package bustest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// A deposit is given up, and the withdrawal behind it goes through: its key was to be parked.
func TestWithdrawalBehindADeadDeposit(t *testing.T) {
	t.Parallel()
	account := func(parks bool) bustest.System[stall] {
		sys := mistake(func(m *bus.Module, w *bustest.World) {
			h := bus.On(m, "move", func(ctx context.Context, e opened) (bus.Events, error) {
				r := bustest.Request{Op: "move", Key: bus.Delivery(ctx).ID, Body: e.N}
				_, err := bustest.Ask(ctx, w.Service("bank"), r, func() (bool, error) { return true, nil })
				return bus.Emit().Also(func(ctx context.Context) error { return insert(ctx, e.ID, e.N) }), err
			}).External(1).Retry(bus.Retry{Attempts: -1})
			if parks {
				h.ParkKey()
			}
		})
		sys.Verify = func(ctx context.Context, tables func(string) bus.SQL, _ *bustest.World) ([]string, error) {
			var balance int
			err := tables("shop").QueryRowContext(ctx, "SELECT coalesce(sum(n), 0) FROM shop_rows").Scan(&balance)
			if balance < 0 {
				return []string{fmt.Sprintf("the balance is %d", balance)}, err
			}
			return nil, err
		}
		return sys
	}
	scenario := func(app *bustest.App[stall]) {
		app.Expect("shop/move")
		for _, n := range []int{10, -10} {
			app.Must(fmt.Sprint("move ", n), func(ctx context.Context, s stall) error {
				_, err := s.Publish(ctx, opened{"a", n})
				return err
			})
		}
	}
	x := bustest.Exploration{Without: bustest.Crashes | bustest.Refusals | bustest.Starts} // a client that moves twice is another mistake
	f := found(t, 60, account(false), x, scenario)
	wantFound(t, f, "the balance is -10")
	if len(f.Story) != 1 {
		t.Errorf("story %q", f.Story)
	}
	noAlarm(t, account(true), x, scenario)
}

// A sum that is read, and written whole after a call to the outside: two calls at once write over each other.
func TestLostUpdate(t *testing.T) {
	t.Parallel()
	sums := func(update string) bustest.System[stall] {
		sys := mistake(func(m *bus.Module, w *bustest.World) {
			bus.On(m, "add", func(ctx context.Context, e opened) (bus.Events, error) {
				sum := 0
				err := m.View(ctx, func(tx bus.SQL) error {
					return tx.QueryRowContext(ctx, "SELECT coalesce(sum(n), 0) FROM shop_rows WHERE id = 'sum'").Scan(&sum)
				})
				if err != nil {
					return nil, err
				}
				_, err = bustest.Ask(ctx, w.Service("bank"), bustest.Request{Op: "add", Key: e.ID}, func() (bool, error) { return true, nil })
				return bus.Emit().Also(func(ctx context.Context) error {
					_, err := bus.Tx(ctx).ExecContext(ctx, update, sum+1, 1)
					return err
				}), err
			}).External(2)
		})
		sys.Verify = func(ctx context.Context, tables func(string) bus.SQL, w *bustest.World) ([]string, error) {
			sum := 0
			err := tables("shop").QueryRowContext(ctx, "SELECT coalesce(sum(n), 0) FROM shop_rows WHERE id = 'sum'").Scan(&sum)
			if done := len(w.Service("bank").Done("add")); sum != done {
				return []string{fmt.Sprintf("the sum is %d after %d additions", sum, done)}, err
			}
			return nil, err
		}
		return sys
	}
	const row = "INSERT INTO shop_rows (id, n) SELECT 'sum', 0 WHERE NOT EXISTS (SELECT 1 FROM shop_rows WHERE id = 'sum'); "
	whole, relative := sums(row+"UPDATE shop_rows SET n = ?1 WHERE id = 'sum'"), sums(row+"UPDATE shop_rows SET n = n + ?2 WHERE id = 'sum'")
	scenario := func(app *bustest.App[stall]) { open(app, "a", "b", "c") }
	f := found(t, 5, whole, bustest.Exploration{}, scenario)
	wantFound(t, f, "the sum is ")
	noAlarm(t, relative, bustest.Exploration{}, scenario)
}

// A timer that sets itself again with After is no loop, however often, unless the delays are too short for a timer.
func TestTimerThatSetsItselfAgain(t *testing.T) {
	t.Parallel()
	timer := func(times int, delay time.Duration) bustest.System[stall] {
		return mistake(func(m *bus.Module, _ *bustest.World) {
			bus.On(m, "tick", func(ctx context.Context, e opened) (bus.Events, error) {
				if e.N >= times {
					return nil, insert(ctx, "over "+e.ID, e.N)
				}
				return bus.Emit(bus.After(delay, opened{e.ID, e.N + 1})), insert(ctx, e.ID, e.N)
			}).Emits(opened{})
		})
	}
	scenario := func(app *bustest.App[stall]) {
		open(app, "a")
		app.Advance(100 * time.Hour)
	}
	for _, short := range []time.Duration{0, time.Millisecond, time.Second - 1} {
		f := bustest.Search(t, timer(1000, short), bustest.Exploration{Schedules: 1}, scenario)
		wantFound(t, f, "too many hops")
	}
	noAlarm(t, timer(20, time.Hour), bustest.Exploration{}, scenario)
	for _, long := range []time.Duration{time.Second, time.Hour} {
		bustest.Run(t, timer(1000, long), func(app *bustest.App[stall]) {
			open(app, "a")
			app.Advance(90 * long)
			if got := strings.Count(nights(app), "a:"); got < 90 {
				t.Errorf("%d rounds, want 90", got)
			}
		})
	}
	// For ever it goes on when each round is asked for from outside: a flow of its own.
	bustest.Run(t, timer(0, time.Hour), func(app *bustest.App[stall]) {
		for i := range 100 {
			open(app, fmt.Sprint("tick ", i))
			app.Advance(time.Hour)
		}
	})
}

// An external handler that publishes by itself, with whatever context, would publish once for each attempt: the bus refuses it.
func TestAnExternalHandlerThatPublishes(t *testing.T) {
	t.Parallel()
	sys := mistake(func(m *bus.Module, w *bustest.World) {
		bus.On(m, "mail", func(_ context.Context, e opened) (bus.Events, error) {
			_, err := m.Publish(context.Background(), closed{e.ID}) //troupe:allow nested the mistake of the test
			return nil, err
		}).External(1)
	})
	f := explored(t, sys, bustest.Exploration{}, func(app *bustest.App[stall]) { open(app, "a") })
	wantFound(t, f, "nested unit of work")
}

// What an external handler keeps in its own memory to protect the outside, such as a circuit breaker, is right.
func TestABreakerInMemory(t *testing.T) {
	t.Parallel()
	sys := mistake(func(m *bus.Module, w *bustest.World) {
		failures := 0
		bus.On(m, "call", func(ctx context.Context, e opened) (bus.Events, error) {
			if failures > 2 {
				failures = 0
				return nil, bus.RetryAfter(time.Minute, errors.New("the breaker is open"))
			}
			_, err := bustest.Ask(ctx, w.Service("bank"), bustest.Request{Op: "pay", Key: e.ID}, func() (bool, error) { return true, nil })
			if err != nil {
				failures++
			}
			return nil, err
		}).External(1)
	})
	noAlarm(t, sys, bustest.Exploration{With: allParts}, func(app *bustest.App[stall]) { open(app, "a", "b", "c") })
}

// Two handlers that write to one row, each its own column of it, are right in every order.
func TestFanInOnOneRow(t *testing.T) {
	t.Parallel()
	sys := mistake(func(m *bus.Module, _ *bustest.World) {
		add := func(ctx context.Context, column, id string) error {
			_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO shop_rows (id) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM shop_rows WHERE id = ?1)", id)
			if err == nil {
				_, err = bus.Tx(ctx).ExecContext(ctx, "UPDATE shop_rows SET "+column+" = "+column+" + 1 WHERE id = ?", id)
			}
			return err
		}
		bus.On(m, "opened", func(ctx context.Context, e opened) (bus.Events, error) { return nil, add(ctx, "n", e.ID) })
		bus.On(m, "closed", func(ctx context.Context, e closed) (bus.Events, error) { return nil, add(ctx, "x", e.ID) }).AnyOrder()
		bus.On(m, "close", func(_ context.Context, e opened) (bus.Events, error) { return bus.Emit(closed{"row"}), nil }).Emits(closed{})
	})
	noAlarm(t, sys, bustest.Exploration{With: allParts, Same: rows}, func(app *bustest.App[stall]) { open(app, "row", "b") })
}

// Numbers that the database gives, in events, and everything else that a ticket has, are right with all parts.
func TestTicketsWithAllParts(t *testing.T) {
	t.Parallel()
	bustest.Explore(t, tickets(tweak{}), bustest.Exploration{Schedules: 100, With: allParts}, func(app *bustest.App[desk]) {
		app.Beside("a person's retry", sqlitetest.Retry("bank/charge"))
		two(app)
		app.Advance(2 * month)
	})
}

// kept outlives the process that Crash means.
var kept = map[bool]*atomic.Int64{true: {}, false: {}}

// A price in a package variable survives Crash, and every schedule after the first has it: a schedule in a process of its own has not.
func TestPriceInAPackageVariable(t *testing.T) {
	t.Parallel()
	prices := func(remembers bool) bustest.System[stall] {
		return mistake(func(m *bus.Module, _ *bustest.World) {
			bus.On(m, "price", func(ctx context.Context, e opened) (bus.Events, error) {
				if remembers {
					kept[remembers].CompareAndSwap(0, int64(e.N+1))
				} else {
					kept[remembers].Store(1)
				}
				return nil, insert(ctx, e.ID, int(kept[remembers].Load()))
			})
		})
	}
	scenario := func(app *bustest.App[stall]) { open(app, "a", "b") }
	x := bustest.Exploration{Same: rows, Without: bustest.Starts, Schedules: 100, Alone: 20}
	for _, remembers := range []bool{true, false} {
		f := bustest.Search(t, prices(remembers), x, scenario)
		if remembers {
			wantFound(t, f, "the result depends on earlier runs in the process, for example through a package variable")
			t.Logf("schedule %d: %v", f.Schedules, f.Wrong)
		} else if len(f.Wrong) > 0 {
			t.Errorf("false alarm: %v", f)
		}
	}
}
