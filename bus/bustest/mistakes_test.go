package bustest_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// Mistakes that people make with a bus, each in the smallest program that has it, and what the kit says of it.

// opened and closed are two facts about one key.
type (
	opened struct {
		ID string
		N  int
	}
	closed struct{ ID string }
)

func (opened) EventType() string  { return "shop.opened" }
func (e opened) EventKey() string { return e.ID }
func (closed) EventType() string  { return "shop.closed" }
func (e closed) EventKey() string { return e.ID }

// stall is what the tests of mistakes talk to: one module, with tables for anything.
type stall struct {
	*bus.Module
	memory map[string]bool // of the process
}

// mistake is a System of one module, shop, whose rows must all be different.
func mistake(wire func(m *bus.Module, w *bustest.World)) bustest.System[stall] {
	return bustest.System[stall]{
		Open: sqlitetest.Open,
		Wire: func(b *bus.Bus, w *bustest.World) stall {
			m := b.Module("shop").Emits(opened{}, closed{}).ForOutside(opened{}, closed{}).
				Migrations(tables("shop", "CREATE TABLE %s_rows (id TEXT NOT NULL, n INTEGER NOT NULL DEFAULT 0, x REAL NOT NULL DEFAULT 0); CREATE TABLE shop_asked (id TEXT PRIMARY KEY)"))
			wire(m, w)
			return stall{m, map[string]bool{}}
		},
		Verify: func(ctx context.Context, tables func(string) bus.SQL, _ *bustest.World) ([]string, error) {
			var doubled sql.NullString
			err := tables("shop").QueryRowContext(ctx, "SELECT group_concat(id) FROM (SELECT id FROM shop_rows GROUP BY id, n HAVING count(*) > 1)").Scan(&doubled)
			if doubled.Valid {
				return []string{"rows that are there twice: " + doubled.String}, err
			}
			return nil, err
		},
	}
}

func insert(ctx context.Context, id string, n int) error {
	_, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO shop_rows (id, n) VALUES (?, ?)", id, n)
	return err
}

// open publishes one opened for each id, once.
func open(app *bustest.App[stall], ids ...string) {
	for i, id := range ids {
		app.Must("open "+id, func(ctx context.Context, s stall) error {
			_, err := s.Do(ctx, func(ctx context.Context) (bus.Events, error) {
				res, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO shop_asked (id) VALUES (?) ON CONFLICT DO NOTHING", id)
				if err != nil {
					return nil, err
				}
				if n, err := res.RowsAffected(); err != nil || n == 0 {
					return nil, err
				}
				return bus.Emit(opened{id, i}), nil
			})
			return err
		})
	}
}

// explored is 300 schedules of scenario on sys.
func explored(t *testing.T, sys bustest.System[stall], x bustest.Exploration, scenario func(app *bustest.App[stall])) bustest.Found {
	t.Helper()
	x.Schedules = 300
	f := bustest.Search(t, sys, x, scenario)
	if len(f.Wrong) > 0 {
		t.Logf("schedule %d: %s", f.Schedules, strings.Join(f.Story, "; "))
	}
	return f
}

func TestDedupeInMemory(t *testing.T) {
	t.Parallel()
	f := explored(t, mistake(func(*bus.Module, *bustest.World) {}), bustest.Exploration{}, func(app *bustest.App[stall]) {
		app.Must("place", func(ctx context.Context, s stall) error {
			if s.memory["one"] {
				return nil
			}
			_, err := s.Do(ctx, func(ctx context.Context) (bus.Events, error) { return nil, insert(ctx, "one", 1) })
			s.memory["one"] = err == nil
			return err
		})
	})
	wantFound(t, f, "rows that are there twice: one")
}

func TestPriceInMemory(t *testing.T) {
	t.Parallel()
	sys := mistake(func(m *bus.Module, _ *bustest.World) {
		price := 0
		bus.On(m, "price", func(ctx context.Context, e opened) (bus.Events, error) {
			if price == 0 {
				price = e.N + 1
			}
			return nil, insert(ctx, e.ID, price)
		})
	})
	x := bustest.Exploration{Same: rows}
	wantFound(t, explored(t, sys, x, func(app *bustest.App[stall]) { open(app, "a", "b") }), "the final state depends on the schedule")
}

// rows describes all rows of the shop.
func rows(ctx context.Context, tables func(string) bus.SQL) (string, error) {
	var all sql.NullString
	err := tables("shop").QueryRowContext(ctx, "SELECT group_concat(id || ':' || n || ':' || x) FROM (SELECT * FROM shop_rows ORDER BY id, n)").Scan(&all)
	return all.String, err
}

func TestSumOfFloats(t *testing.T) {
	t.Parallel()
	sys := mistake(func(m *bus.Module, _ *bustest.World) {
		bus.On(m, "sum", func(ctx context.Context, e opened) (bus.Events, error) {
			_, err := bus.Tx(ctx).ExecContext(ctx, `INSERT INTO shop_rows (id, x) SELECT 'sum', 0 WHERE NOT EXISTS (SELECT 1 FROM shop_rows)`)
			if err == nil {
				_, err = bus.Tx(ctx).ExecContext(ctx, "UPDATE shop_rows SET x = x + ? WHERE id = 'sum'", float64(e.N+1)/10)
			}
			return nil, err
		})
	})
	x := bustest.Exploration{Same: rows}
	wantFound(t, explored(t, sys, x, func(app *bustest.App[stall]) { open(app, "a", "b", "c") }), "the final state depends on the schedule")
}

// The day of the clock, in place of that of the event: right all day long, and wrong at midnight.
func TestDayOfTheClock(t *testing.T) {
	t.Parallel()
	sys := mistake(func(m *bus.Module, _ *bustest.World) {
		bus.On(m, "book", func(ctx context.Context, e opened) (bus.Events, error) {
			return nil, insert(ctx, e.ID, time.Now().UTC().YearDay()-bus.Delivery(ctx).Time.UTC().YearDay())
		})
	})
	scenario := func(app *bustest.App[stall]) {
		app.Advance(12 * time.Hour) // far from every midnight, but for the schedules that begin at one
		open(app, "a")
	}
	x := bustest.Exploration{Same: rows}
	wantFound(t, explored(t, sys, x, func(app *bustest.App[stall]) { open(app, "a") }), "the final state depends on the schedule")
	if f := explored(t, sys, bustest.Exploration{Same: rows, Without: bustest.Starts | bustest.Pauses}, scenario); len(f.Wrong) > 0 {
		t.Errorf("without bad moments: %v", f)
	}
}

func TestReadAfterOwnWrite(t *testing.T) {
	t.Parallel()
	sys := mistake(func(m *bus.Module, _ *bustest.World) {
		bus.On(m, "project", func(ctx context.Context, e opened) (bus.Events, error) { return nil, insert(ctx, e.ID, e.N) })
	})
	f := explored(t, sys, bustest.Exploration{}, func(app *bustest.App[stall]) {
		open(app, "a")
		n := 0
		app.Must("look", func(ctx context.Context, s stall) error {
			return s.View(ctx, func(tx bus.SQL) error { return tx.QueryRow("SELECT count(*) FROM shop_rows").Scan(&n) })
		})
		if n != 1 {
			app.T().Fatalf("%d rows after the own write", n)
		}
	})
	wantFound(t, f, "0 rows after the own write")
}

// account opens and closes an account.
func account() (func(context.Context, opened) (bus.Events, error), func(context.Context, closed) (bus.Events, error)) {
	return func(ctx context.Context, e opened) (bus.Events, error) { return nil, insert(ctx, e.ID, 1) },
		func(ctx context.Context, e closed) (bus.Events, error) {
			_, err := bus.Tx(ctx).ExecContext(ctx, "DELETE FROM shop_rows WHERE id = ?", e.ID)
			return nil, err
		}
}

// twoHandlers opens and closes accounts in two subscriptions, which have no order between them, whatever they declare.
func twoHandlers(openName, closeName string) func(*bus.Module, *bustest.World) {
	return func(m *bus.Module, _ *bustest.World) {
		open, shut := account()
		bus.On(m, openName, open).AnyOrder()
		bus.On(m, closeName, shut)
	}
}

// accounts is the system in which a closed account must not be open.
func accounts(wire func(*bus.Module, *bustest.World)) bustest.System[stall] {
	sys := mistake(wire)
	sys.Verify = func(ctx context.Context, tables func(string) bus.SQL, _ *bustest.World) ([]string, error) {
		n := 0
		if err := tables("shop").QueryRowContext(ctx, "SELECT count(*) FROM shop_rows").Scan(&n); err != nil || n == 0 {
			return nil, err
		}
		return []string{fmt.Sprintf("%d closed accounts are open", n)}, nil
	}
	return sys
}

// The obvious schedule follows the log, whatever the subscriptions are called; another one accuses what really came too early.
func TestTwoTypesOfOneKey(t *testing.T) {
	t.Parallel()
	scenario := func(app *bustest.App[stall]) {
		app.Must("open and close", func(ctx context.Context, s stall) error {
			_, err := s.Publish(ctx, opened{"a", 1}, closed{"a"})
			return err
		})
	}
	for _, names := range [][2]string{{"a", "b"}, {"b", "a"}} {
		sys := accounts(twoHandlers(names[0], names[1]))
		if f := bustest.Search(t, sys, bustest.Exploration{Schedules: 1, Without: bustest.Again}, scenario); len(f.Wrong) > 0 {
			t.Errorf("opened by %s, closed by %s: the obvious schedule is not that of the log: %v", names[0], names[1], f)
		}
		f := explored(t, sys, bustest.Exploration{}, scenario)
		wantFound(t, f, "1 closed accounts are open")
		want := fmt.Sprintf("shop/%s of shop.opened a waits until after shop/%s of shop.closed a", names[0], names[1])
		if len(f.Story) != 1 || f.Story[0] != want {
			t.Errorf("story %q, want %q", f.Story, want)
		}
	}
}

// One handler of both types is right in every schedule, with all faults.
func TestOneHandlerOfTwoTypes(t *testing.T) {
	t.Parallel()
	sys := accounts(func(m *bus.Module, _ *bustest.World) {
		open, shut := account()
		bus.OnEach(m, "account", bus.Of(open), bus.Of(shut))
	})
	f := explored(t, sys, bustest.Exploration{}, func(app *bustest.App[stall]) {
		id := 0
		app.Must("open and close", func(ctx context.Context, s stall) error {
			id++ // a client that asks again, after a crash, asks for another account
			_, err := s.Publish(ctx, opened{fmt.Sprint(id), 1}, closed{fmt.Sprint(id)})
			return err
		})
	})
	if len(f.Wrong) > 0 {
		t.Errorf("false alarm: %v", f)
	}
}

// called is a handler that calls the outside, and does with its error as then says.
func called(then func(ctx context.Context, e opened, err error) (bus.Events, error)) func(m *bus.Module, w *bustest.World) {
	return func(m *bus.Module, w *bustest.World) {
		bus.On(m, "call", func(ctx context.Context, e opened) (bus.Events, error) {
			_, err := bustest.Ask(ctx, w.Service("bank"), bustest.Request{Op: "pay", Key: bus.Delivery(ctx).ID}, func() (bool, error) { return true, nil })
			return then(ctx, e, err)
		}).External(1)
	}
}

func TestSwallowedError(t *testing.T) {
	t.Parallel()
	sys := mistake(called(func(context.Context, opened, error) (bus.Events, error) { return nil, nil }))
	scenario := func(app *bustest.App[stall]) { open(app, "a") }
	f := explored(t, sys, bustest.Exploration{}, scenario)
	wantFound(t, f, "shop/call of shop.opened a is done although its call of bank had no answer")
	if len(f.Story) != 1 {
		t.Errorf("story %q", f.Story)
	}
	if f := explored(t, sys, bustest.Exploration{Without: bustest.Unheard}, scenario); len(f.Wrong) > 0 {
		t.Errorf("without that part: %v", f)
	}
	right := mistake(called(func(_ context.Context, _ opened, err error) (bus.Events, error) { return nil, err }))
	if f := explored(t, right, bustest.Exploration{}, scenario); len(f.Wrong) > 0 {
		t.Errorf("false alarm: %v", f)
	}
}

func TestKeyByPlaceInAList(t *testing.T) {
	t.Parallel()
	sys := mistake(func(m *bus.Module, w *bustest.World) {
		bus.On(m, "pay", func(ctx context.Context, e opened) (bus.Events, error) {
			for i, who := range unpaid(w, e.ID) {
				r := bustest.Request{Op: "pay", Key: fmt.Sprint(e.ID, i), Body: who}
				if _, err := bustest.Ask(ctx, w.Service("bank"), r, func() (bool, error) { return true, nil }); err != nil {
					return nil, err
				}
			}
			return nil, nil
		}).External(1)
	})
	wantFound(t, explored(t, sys, bustest.Exploration{}, func(app *bustest.App[stall]) { open(app, "a") }), "with the key of another request")
}

// unpaid are those that the bank has not paid.
func unpaid(w *bustest.World, _ string) []string {
	var left []string
	for _, who := range []string{"al", "bob", "cy"} {
		paid := false
		for _, c := range w.Service("bank").Done("pay") {
			paid = paid || c.Body == who
		}
		if !paid {
			left = append(left, who)
		}
	}
	return left
}

// Two clients look before they act: each sees the last seat, and both take it.
func TestClientsAtOnce(t *testing.T) {
	t.Parallel()
	take := func(c *bustest.Client[stall]) {
		c.Must("take the last seat", func(ctx context.Context, s stall) error {
			n := 0
			if err := s.View(ctx, func(tx bus.SQL) error { return tx.QueryRow("SELECT count(*) FROM shop_rows").Scan(&n) }); err != nil || n > 0 {
				return err
			}
			_, err := s.Do(ctx, func(ctx context.Context) (bus.Events, error) { return nil, insert(ctx, "seat", 1) })
			return err
		})
	}
	sys := mistake(func(*bus.Module, *bustest.World) {})
	both := func(app *bustest.App[stall]) { app.Together(take, take) }
	f := explored(t, sys, bustest.Exploration{Without: bustest.Crashes}, both)
	wantFound(t, f, "rows that are there twice: seat")
	if len(f.Story) != 1 || !strings.Contains(f.Story[0], "client 1: take the last seat (read) waits until after client 2: take the last seat (read)") {
		t.Errorf("story %q", f.Story)
	}
	again := bustest.Search(t, sys, bustest.Exploration{Without: bustest.Crashes, Replay: f.Replay}, both)
	wantFound(t, again, "rows that are there twice: seat")
	bustest.Run(t, sys, both) // one after the other: the second sees the first
}

// A scenario that breaks in three ways is told in three stories.
func TestThreeStories(t *testing.T) {
	t.Parallel()
	sys := mistake(func(m *bus.Module, w *bustest.World) {
		called(func(context.Context, opened, error) (bus.Events, error) { return nil, nil })(m, w)
		day := 0
		bus.On(m, "first", func(ctx context.Context, e opened) (bus.Events, error) {
			if day++; day == 2 {
				return nil, bus.Dead(errors.New("the second in this process"))
			}
			return nil, nil
		})
	})
	f := bustest.SearchAll(t, sys, bustest.Exploration{Schedules: 200, Without: bustest.Again}, func(app *bustest.App[stall]) {
		app.Must("place", func(ctx context.Context, s stall) error { // again after a crash: twice
			_, err := s.Do(ctx, func(ctx context.Context) (bus.Events, error) {
				return bus.Emit(opened{"a", 1}), insert(ctx, "placed", 1)
			})
			return err
		})
	})
	text := f.String()
	if len(f.Others) == 0 || strings.Count(text, "broken by schedule") != len(f.Others)+1 {
		t.Fatalf("%d other stories:\n%s", len(f.Others), text)
	}
	for _, want := range []string{"rows that are there twice: placed", "its call of bank had no answer"} {
		if !strings.Contains(text, want) {
			t.Errorf("no story of: %s\n%s", want, text)
		}
	}
}

// Expect of a subscription that does not exist is a mistake in the test.
func TestExpectOfAStranger(t *testing.T) {
	t.Parallel()
	sys := mistake(func(*bus.Module, *bustest.World) {})
	f := explored(t, sys, bustest.Exploration{Expect: []string{"shop/nix"}}, func(*bustest.App[stall]) {})
	wantFound(t, f, "Expect names shop/nix, which is no subscription")
}

// A question is answered anew each time, and needs no key.
func TestQueryIsNotRemembered(t *testing.T) {
	t.Parallel()
	sys := mistake(func(m *bus.Module, w *bustest.World) {
		rate := 0
		bus.On(m, "rate", func(ctx context.Context, e opened) (bus.Events, error) {
			n, err := bustest.Query(ctx, w.Service("bank"), "rate", func() (int, error) { rate++; return rate, nil })
			if err != nil {
				return nil, err
			}
			return bus.Emit().Also(func(ctx context.Context) error { return insert(ctx, "rate", n) }), nil
		}).External(1)
	})
	f := explored(t, sys, bustest.Exploration{Without: bustest.Again | bustest.Twice | bustest.Crashes}, func(app *bustest.App[stall]) { open(app, "a", "b") })
	if len(f.Wrong) > 0 {
		t.Errorf("false alarm, or an answer that was remembered: %v", f)
	}
}
