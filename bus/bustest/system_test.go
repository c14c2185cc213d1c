package bustest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// The system of these tests: somebody asks for a ticket, the desk books a seat, the bank takes the money, the desk prints
// the ticket, and reminds a month later.
type (
	asked struct {
		ID string `json:"id"`
	}
	booked struct {
		ID   string `json:"id"`
		Seat int    `json:"seat"`
	}
	paid struct {
		ID string `json:"id"`
	}
	reminded struct {
		ID string `json:"id"`
	}
)

func (asked) EventType() string     { return "desk.asked" }
func (e asked) EventKey() string    { return e.ID }
func (booked) EventType() string    { return "seats.booked" }
func (e booked) EventKey() string   { return e.ID }
func (paid) EventType() string      { return "bank.paid" }
func (e paid) EventKey() string     { return e.ID }
func (reminded) EventType() string  { return "desk.reminded" }
func (e reminded) EventKey() string { return e.ID }

const month = 30 * 24 * time.Hour

func tables(module, sql string) fstest.MapFS {
	return fstest.MapFS{"0001.sql": {Data: []byte(fmt.Sprintf(sql, module))}}
}

// desk is what the tests talk to.
type desk struct{ m *bus.Module }

func (d desk) ask(ctx context.Context, id string) error {
	_, err := d.m.Do(bus.Correlate(ctx, id), func(ctx context.Context) (bus.Events, error) {
		res, err := bus.Tx(ctx).ExecContext(ctx, "INSERT INTO desk_tickets (id) VALUES (?) ON CONFLICT DO NOTHING", id)
		if err != nil {
			return nil, err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return nil, err // asked before
		}
		return bus.Emit(asked{id}), nil
	})
	return err
}

// tickets is the system. What is wrong with it is said by tweak.
type tweak struct {
	seats func() func(ctx context.Context, e asked) (bus.Events, error) // made anew with each process
	key   func(ctx context.Context) string
}

func tickets(tw tweak) bustest.System[desk] {
	return bustest.System[desk]{Open: sqlitetest.Open, Verify: verifyTickets, Wire: func(b *bus.Bus, w *bustest.World) desk {
		d := desk{b.Module("desk").Migrations(tables("desk", "CREATE TABLE %s_tickets (id TEXT PRIMARY KEY, printed INTEGER NOT NULL DEFAULT 0)")).
			Emits(asked{}).ForOutside(reminded{})}
		bus.On(d.m, "print", func(ctx context.Context, e paid) (bus.Events, error) {
			_, err := bus.Tx(ctx).ExecContext(ctx, "UPDATE desk_tickets SET printed = printed + 1 WHERE id = ?", e.ID)
			return bus.Emit(bus.After(month, reminded(e))), err
		}).Emits(reminded{})
		seats := b.Module("seats").Migrations(tables("seats", "CREATE TABLE %s_taken (seat INTEGER PRIMARY KEY, id TEXT NOT NULL)"))
		book := bookSeat
		if tw.seats != nil {
			book = tw.seats()
		}
		bus.On(seats, "book", book).Emits(booked{})
		bank := b.Module("bank").Emits(paid{})
		bus.On(bank, "charge", func(ctx context.Context, e booked) (bus.Events, error) {
			key := bus.Delivery(ctx).ID
			if tw.key != nil {
				key = tw.key(ctx)
			}
			_, err := bustest.Ask(ctx, w.Service("card"), bustest.Request{Op: "charge", Key: key, Body: e.ID}, func() (string, error) {
				return "receipt", nil
			})
			return bus.Emit(paid{e.ID}), err
		}).Emits(paid{}).External(2)
		return d
	}}
}

func bookSeat(ctx context.Context, e asked) (bus.Events, error) {
	var seat int
	err := bus.Tx(ctx).QueryRowContext(ctx, "INSERT INTO seats_taken (id) VALUES (?) RETURNING seat", e.ID).Scan(&seat)
	return bus.Emit(booked{e.ID, seat}), err
}

// verifyTickets: every ticket that was asked for is printed once, has one seat, and was charged once.
func verifyTickets(ctx context.Context, tables func(module string) bus.SQL, w *bustest.World) ([]string, error) {
	taken, err := count(ctx, tables("seats"), "SELECT id, count(*) FROM seats_taken GROUP BY id")
	if err != nil {
		return nil, err
	}
	printed, err := count(ctx, tables("desk"), "SELECT id, printed FROM desk_tickets")
	charges := map[any]int{}
	for _, c := range w.Service("card").Done("charge") {
		charges[c.Body]++
	}
	var wrong []string
	for _, id := range slices.Sorted(maps.Keys(printed)) {
		if printed[id] != 1 || taken[id] != 1 || charges[id] != 1 {
			wrong = append(wrong, fmt.Sprintf("ticket %s: printed %d times, %d seats, charged %d times", id, printed[id], taken[id], charges[id]))
		}
	}
	return wrong, err
}

func count(ctx context.Context, tx bus.SQL, query string) (map[string]int, error) {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	counts := map[string]int{}
	for rows.Next() {
		var id string
		var n int
		if err := rows.Scan(&id, &n); err != nil {
			return nil, err
		}
		counts[id] = n
	}
	return counts, rows.Err()
}

// ask is what most scenarios do.
func ask(app *bustest.App[desk], ids ...string) {
	for _, id := range ids {
		app.Must("ask for "+id, func(ctx context.Context, d desk) error { return d.ask(ctx, id) })
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	bustest.Run(t, tickets(tweak{}), func(app *bustest.App[desk]) {
		began := time.Now()
		app.World().Service("card").Next("charge", bustest.Fails, bustest.LosesAnswer, bustest.Hangs)
		ask(app, "a")
		app.Quiet()
		if took := time.Since(began); took < 30*time.Second || took > time.Minute {
			t.Errorf("it took %v: the call that hangs ends after 30 s", took)
		}
		calls := app.World().Service("card").Calls("charge")
		if len(calls) != 4 || len(app.World().Service("card").Done("charge")) != 1 {
			t.Errorf("calls: %+v", calls)
		}
		flow := func() int {
			flows, err := app.Flows()
			if err != nil || len(flows) != 1 {
				t.Fatalf("%d flows: %v", len(flows), err)
			}
			return len(flows[0].Events)
		}
		if n := flow(); n != 3 {
			t.Errorf("%d events before the month is over", n)
		}
		app.Advance(month - time.Hour)
		app.Crash()
		if n := flow(); n != 3 {
			t.Errorf("%d events after a crash", n)
		}
		app.Advance(2 * time.Hour)
		if n := flow(); n != 4 {
			t.Errorf("%d events after the month", n)
		}
	})
}

// A crash takes what is not committed, and a restart takes nothing.
func TestCrashAndRestart(t *testing.T) {
	t.Parallel()
	bustest.Run(t, tickets(tweak{}), func(app *bustest.App[desk]) {
		card := app.World().Service("card")
		card.Next("charge", bustest.Hangs)
		ask(app, "a")
		app.Advance(time.Second) // the call hangs now
		app.Crash()
		app.Quiet()
		if calls := card.Calls("charge"); len(calls) != 2 || calls[0].Key != calls[1].Key {
			t.Errorf("calls: %+v", calls)
		}
		app.Restart()
		ask(app, "a", "b")
		app.Quiet()
		if n := len(card.Done("charge")); n != 2 {
			t.Errorf("%d charges", n)
		}
	})
}

// remembers makes handlers that count, in the memory of the process, how often they ran.
func remembers(handle func(ctx context.Context, e asked, n int) (bus.Events, error)) func() func(context.Context, asked) (bus.Events, error) {
	return func() func(context.Context, asked) (bus.Events, error) {
		n := 0
		return func(ctx context.Context, e asked) (bus.Events, error) {
			n++
			return handle(ctx, e, n)
		}
	}
}

// What the kit looks at by itself fails a plain Run, too.
func TestRunFindsByItself(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tweak tweak
		want  string
	}{
		"memory": {tweak{seats: remembers(func(_ context.Context, e asked, seat int) (bus.Events, error) {
			return bus.Emit(booked{e.ID, seat}), nil
		})}, "run again on the same state"},
		"fence": {tweak{seats: remembers(func(ctx context.Context, _ asked, _ int) (bus.Events, error) {
			_, err := bus.Tx(ctx).ExecContext(ctx, "UPDATE desk_tickets SET printed = 1")
			return nil, bus.Dead(err)
		})}, "reached for desk_tickets"},
		"dead letter": {tweak{seats: remembers(func(context.Context, asked, int) (bus.Events, error) {
			return nil, bus.Dead(errors.New("no seats here"))
		})}, "no seats here"},
		"goroutine": {tweak{seats: remembers(func(ctx context.Context, e asked, _ int) (bus.Events, error) {
			go func() { <-make(chan int) }()
			return bookSeat(ctx, e)
		})}, "a goroutine remains blocked: in github.com/troupebus/troupe/bus/bustest_test."},
		"key": {tweak{key: func(ctx context.Context) string { return fmt.Sprint(bus.Delivery(ctx).Attempt) }}, "another idempotency key"},
	} {
		found := bustest.Search(t, tickets(c.tweak), bustest.Exploration{Schedules: 1}, func(app *bustest.App[desk]) {
			app.World().Service("card").Next("charge", bustest.Fails)
			ask(app, "a")
		})
		if !strings.Contains(strings.Join(found.Wrong, "\n"), c.want) {
			t.Errorf("%s: found %q, want %q", name, found.Wrong, c.want)
		}
	}
}

// Without virtual time everything is the same, but that it takes its time.
func TestRealTime(t *testing.T) {
	t.Parallel()
	sys := tickets(tweak{})
	sys.RealTime, sys.Config.ExternalRetry.First = true, time.Millisecond
	bustest.Run(t, sys, func(app *bustest.App[desk]) {
		app.World().Service("card").Next("charge", bustest.Fails, bustest.LosesAnswer)
		ask(app, "a")
		app.Crash()
		app.Flow("a").Causes(asked{ID: "a"}, booked{}, paid{})
	})
}
