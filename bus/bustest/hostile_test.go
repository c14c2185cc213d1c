package bustest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// What a kit must not do when a system or a scenario is in the wrong: pass, hang, or take the test binary with it.

// small is a desk with handlers of the test's own for what is asked.
func small(handlers func(b *bus.Bus, w *bustest.World)) bustest.System[desk] {
	return bustest.System[desk]{Open: sqlitetest.Open, Wire: func(b *bus.Bus, w *bustest.World) desk {
		d := desk{b.Module("desk").Migrations(tables("desk", "CREATE TABLE %s_tickets (id TEXT PRIMARY KEY)")).Emits(asked{})}
		handlers(b, w)
		return d
	}}
}

func wantFound(t *testing.T, f bustest.Found, want string) {
	t.Helper()
	if !strings.Contains(strings.Join(f.Wrong, "\n"), want) {
		t.Errorf("found %q, want %q", f.Wrong, want)
	}
}

func TestSystemThatDoesNotStartAgain(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(app *bustest.App[desk]){
		"at once": func(*bustest.App[desk]) {},
		"crash":   func(app *bustest.App[desk]) { app.Crash() },
		"restart": func(app *bustest.App[desk]) { app.Restart() },
	} {
		broken := name == "at once"
		starts := 0
		sys := tickets(tweak{})
		wire := sys.Wire
		sys.Wire = func(b *bus.Bus, w *bustest.World) desk {
			if starts++; broken && starts > 1 {
				b.Module("no Name")
			}
			return wire(b, w)
		}
		f := bustest.Search(t, sys, bustest.Exploration{Schedules: 1, Faults: -1}, func(app *bustest.App[desk]) {
			ask(app, "a")
			broken = true
			again(app)
		})
		wantFound(t, f, `module "no Name"`)
	}
}

func TestEndlessScenarioThatLetsTimePass(t *testing.T) {
	t.Parallel()
	sys := small(func(b *bus.Bus, _ *bustest.World) {
		bus.On(b.Module("bank"), "charge", func(context.Context, asked) (bus.Events, error) { return nil, errors.New("always") }).
			Retry(bus.Retry{Attempts: 1_000_000, First: time.Second, Max: time.Second})
	})
	wantFound(t, bustest.Search(t, sys, bustest.Exploration{Schedules: 1}, func(app *bustest.App[desk]) {
		ask(app, "a")
		app.Advance(24 * time.Hour)
	}), "does not end")
	bustest.Explore(t, tickets(tweak{}), bustest.Exploration{Schedules: 3}, func(app *bustest.App[desk]) {
		ask(app, "a")
		app.Advance(400 * 24 * time.Hour) // longer than anything is waited for
	})
}

// A restart or a crash in a scenario leaves nothing to the order of goroutines.
func TestRestartsAndCrashesReplay(t *testing.T) {
	t.Parallel()
	sys := small(func(b *bus.Bus, _ *bustest.World) {
		m := b.Module("log").Migrations(tables("log", "CREATE TABLE %s_lines (n INTEGER PRIMARY KEY, what TEXT)"))
		for i := range 8 {
			bus.On(m, fmt.Sprint("write-", i), func(ctx context.Context, _ asked) (bus.Events, error) {
				_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO log_lines (what) VALUES (?)", fmt.Sprint(i))
				return nil, err
			})
		}
	})
	sys.Verify = func(ctx context.Context, tables func(module string) bus.SQL, _ *bustest.World) ([]string, error) {
		var order string
		err := tables("log").QueryRowContext(ctx, "SELECT group_concat(what, ' ') FROM (SELECT what FROM log_lines ORDER BY n)").Scan(&order)
		return []string{order}, err
	}
	for name, end := range map[string]func(app *bustest.App[desk]){
		"restart": func(app *bustest.App[desk]) { app.Restart() },
		"crash":   func(app *bustest.App[desk]) { app.Crash() },
	} {
		seen := map[string]bool{}
		for range 15 {
			f := bustest.Search(t, sys, bustest.Exploration{Replay: "4z.3.2z.2"}, func(app *bustest.App[desk]) {
				ask(app, "a")
				end(app)
			})
			seen[fmt.Sprint(f.Wrong, f.Story)] = true
		}
		if len(seen) != 1 {
			t.Errorf("%s: one schedule came to %d ends: %v", name, len(seen), seen)
		}
	}
}

// A handler may call twice in one attempt, each call with a key of its own; and a key belongs to its operation.
func TestTwoCallsOfOneReaction(t *testing.T) {
	t.Parallel()
	sys := small(func(b *bus.Bus, w *bustest.World) {
		bus.On(b.Module("bank"), "refund", func(ctx context.Context, e asked) (bus.Events, error) {
			for i := range 2 {
				r := bustest.Request{Op: "refund", Key: fmt.Sprint(bus.Delivery(ctx).ID, i), Body: i}
				if _, err := bustest.Ask(ctx, w.Service("card"), r, func() (string, error) { return "", nil }); err != nil {
					return nil, err
				}
			}
			_, err := bustest.Ask(ctx, w.Service("card"), bustest.Request{Op: "reserve", Key: e.ID}, func() (string, error) { return "a", nil })
			if err != nil {
				return nil, err
			}
			n, err := bustest.Ask(ctx, w.Service("card"), bustest.Request{Op: "confirm", Key: e.ID}, func() (int, error) { return 7, nil })
			if err == nil && n != 7 {
				err = bus.Dead(fmt.Errorf("confirmed %d", n))
			}
			return nil, err
		}).External(1)
	})
	bustest.Explore(t, sys, bustest.Exploration{Schedules: 50}, func(app *bustest.App[desk]) { ask(app, "a") })
}

// A handler that calls again after its context has ended may do so when all is over: nobody decides about it then.
func TestHandlerThatIsLeftBehind(t *testing.T) {
	t.Parallel()
	sys := small(func(b *bus.Bus, w *bustest.World) {
		bus.On(b.Module("bank"), "charge", func(ctx context.Context, e asked) (bus.Events, error) {
			call := func() (err error) {
				_, err = bustest.Ask(ctx, w.Service("card"), bustest.Request{Op: "charge", Key: e.ID}, func() (string, error) { return "", nil })
				return err
			}
			if call() != nil { // once more, whatever the context says
				return nil, call()
			}
			return nil, nil
		}).External(2)
	})
	x := bustest.Exploration{Exhaustive: true, Faults: 2, Without: bustest.Crashes | bustest.Pauses | bustest.Orders}
	bustest.Explore(t, sys, x, func(app *bustest.App[desk]) { ask(app, "a") })
}

// The end of the context is no answer: the next attempt asks again.
func TestAServiceThatRunsIntoTheDeadline(t *testing.T) {
	t.Parallel()
	sys := small(func(b *bus.Bus, w *bustest.World) {
		bus.On(b.Module("bank"), "charge", func(ctx context.Context, e asked) (bus.Events, error) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			_, err := bustest.Ask(ctx, w.Service("card"), bustest.Request{Op: "charge", Key: e.ID}, func() (string, error) {
				if bus.Delivery(ctx).Attempt == 1 {
					cancel()
				}
				return "", ctx.Err()
			})
			return nil, err
		}).External(1)
	})
	bustest.Run(t, sys, func(app *bustest.App[desk]) {
		ask(app, "a")
		app.Quiet()
		calls := app.World().Service("card").Calls("charge")
		if len(calls) != 2 || calls[0].Trouble != bustest.Hangs || calls[0].Err != nil || calls[0].Did || !calls[1].Did {
			t.Errorf("calls: %+v", calls)
		}
	})
}

// What is behind an expected dead letter that parks its key may wait for ever.
func TestExpectedDeadLetterParksItsKey(t *testing.T) {
	t.Parallel()
	sys := small(func(b *bus.Bus, _ *bustest.World) {
		bus.On(b.Module("bank"), "charge", func(context.Context, asked) (bus.Events, error) {
			return nil, bus.Dead(errors.New("never"))
		}).ParkKey()
	})
	bustest.Explore(t, sys, bustest.Exploration{Schedules: 5}, func(app *bustest.App[desk]) {
		app.Expect("bank/charge")
		for range 2 {
			app.Must("ask", func(ctx context.Context, d desk) error {
				_, err := d.m.Publish(ctx, asked{"k"})
				return err
			})
		}
	})
}

// A scenario's own failure is one of the schedule, with its story.
func TestScenarioThatFails(t *testing.T) {
	t.Parallel()
	f := bustest.Search(t, tickets(tweak{}), bustest.Exploration{}, func(app *bustest.App[desk]) {
		ask(app, "a")
		app.Quiet()
		if n := len(app.World().Service("card").Calls("charge")); n != 1 {
			app.T().Fatalf("the bank was asked more than once")
		}
	})
	wantFound(t, f, "asked more than once")
	if len(f.Story) != 1 {
		t.Errorf("the story is %q", f.Story)
	}
}

func TestExhaustiveSaysThatThereIsMore(t *testing.T) {
	t.Parallel()
	f := bustest.Search(t, tickets(tweak{}), bustest.Exploration{Schedules: 5, Exhaustive: true}, func(app *bustest.App[desk]) { ask(app, "a") })
	if !strings.HasPrefix(f.String(), "there are more than 5 schedules") || strings.Contains(f.String(), "broken by") {
		t.Errorf("it says %q", f)
	}
}
