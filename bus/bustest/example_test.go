package bustest_test

import (
	"context"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/journal"
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

// With one word more, the same under a thousand schedules.
func TestExampleExplore(t *testing.T) {
	bustest.Explore(t, tickets(tweak{}), bustest.Exploration{Schedules: 100}, func(app *bustest.App[desk]) {
		ask(app, "ticket-1", "ticket-2")
	})
}
