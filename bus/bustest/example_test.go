package bustest_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// The first ten lines: start the modules, do something, say what must have happened. That everything has become quiet, that
// the books balance and that nothing is left unanswered is checked without being asked for.
func TestExampleTicket(t *testing.T) {
	bustest.Run(t, tickets(tweak{}), func(app *bustest.App[desk]) {
		app.Must("somebody asks for a ticket", func(ctx context.Context, d desk) error {
			return d.ask(ctx, "ticket-1")
		})
		app.Flow("ticket-1").
			Causes(asked{ID: "ticket-1"}, booked{Seat: 1}, paid{}).
			Outcome("desk/print", journal.Done)
	})
}

// Time is virtual: a month passes in no time, and what is due on the way happens on the way.
func TestExampleTime(t *testing.T) {
	bustest.Run(t, tickets(tweak{}), func(app *bustest.App[desk]) {
		ask(app, "ticket-1")
		app.Flow("ticket-1").Never(reminded{})
		app.Advance(30 * 24 * time.Hour)
		app.Flow("ticket-1").Causes(paid{}, reminded{ID: "ticket-1"})
	})
}

// What is outside fails, hangs, or does it and loses the answer, as it is told to; and the process dies in the middle.
func TestExampleTrouble(t *testing.T) {
	bustest.Run(t, tickets(tweak{}), func(app *bustest.App[desk]) {
		card := app.World().Service("card")
		card.Next("charge", bustest.Fails, bustest.LosesAnswer, bustest.Hangs)
		ask(app, "ticket-1")
		app.Advance(10 * time.Second) // the third call hangs
		app.Crash()
		app.Flow("ticket-1").Outcome("bank/charge", journal.Done)
		if asked, charged := len(card.Calls("charge")), len(card.Done("charge")); asked != 4 || charged != 1 {
			t.Errorf("the bank was asked %d times and charged %d times", asked, charged)
		}
	})
}

// dueReport is the event of a nightly schedule.
type dueReport struct{ Day string }

func (dueReport) EventType() string  { return "office.report_due" }
func (e dueReport) EventKey() string { return e.Day }

// office has a report of yesterday written at three in the morning, every day, in Berlin.
func office(b *bus.Bus, _ *bustest.World) *bus.Module {
	m := b.Module("office").ForOutside(dueReport{})
	m.Every("nightly", "CRON_TZ=Europe/Berlin 0 3 * * *", func(t time.Time) bus.Event {
		return dueReport{Day: t.AddDate(0, 0, -1).Format(time.DateOnly)}
	}).Emits(dueReport{}).EachMissed()
	return m
}

// A schedule emits one event for each due time, also for those that pass while no process runs.
func TestExampleEvery(t *testing.T) {
	sys := bustest.System[*bus.Module]{Open: sqlitetest.Open, Wire: office}
	bustest.Run(t, sys, func(app *bustest.App[*bus.Module]) {
		app.Advance(72 * time.Hour) // from 2000-01-01 00:00 UTC
		var days []string
		app.Must("read", func(ctx context.Context, m *bus.Module) error {
			return m.View(ctx, func(tx bus.SQL) error {
				var all string
				err := tx.QueryRowContext(ctx, "SELECT group_concat(key, ' ') FROM (SELECT key FROM events ORDER BY seq)").Scan(&all)
				days = strings.Fields(all)
				return err
			})
		})
		if want := []string{"1999-12-31", "2000-01-01", "2000-01-02"}; !slices.Equal(days, want) {
			t.Errorf("reports of %v, want %v", days, want)
		}
	})
}

// With one word more, the same under a thousand schedules.
func TestExampleExplore(t *testing.T) {
	bustest.Explore(t, tickets(tweak{}), bustest.Exploration{Schedules: 100}, func(app *bustest.App[desk]) {
		ask(app, "ticket-1", "ticket-2")
	})
}
