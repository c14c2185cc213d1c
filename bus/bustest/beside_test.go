package bustest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// broken is a shop whose handler gives every event up at first, and books it in the process that follows one in which that was mended.
func broken(mended *bool) bustest.System[stall] {
	return mistake(func(m *bus.Module, _ *bustest.World) {
		bus.On(m, "book", func(ctx context.Context, e opened) (bus.Events, error) {
			if !*mended {
				return nil, bus.Dead(errors.New("not yet"))
			}
			return nil, insert(ctx, e.ID, e.N)
		})
	})
}

func TestBesideInRun(t *testing.T) {
	t.Parallel()
	mended := false
	bustest.Run(t, broken(&mended), func(app *bustest.App[stall]) {
		open(app, "a")
		app.Quiet()
		mended = true
		app.Beside("a person replays", sqlitetest.Replay("shop/book"))
		app.Quiet()
		app.Beside("a person replays what nobody has", sqlitetest.Replay("shop/book"))
	})
}

// The clock of the machine goes forward past a delayed event and back: the event comes when it is due by the wall clock.
func TestStepClockInRun(t *testing.T) {
	t.Parallel()
	bustest.Run(t, tickets(tweak{}), func(app *bustest.App[desk]) {
		ask(app, "a")
		app.Quiet()
		app.StepClock(-time.Hour)
		app.Advance(month + time.Minute)
		app.Flow("a").Never(reminded{})
		app.StepClock(time.Hour)
		app.Flow("a").Causes(paid{}, reminded{ID: "a"})
	})
}

// Retries and delays that begin after the clock was set are as long as ever.
func TestDelaysAfterAStepOfTheClock(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		bustest.Run(t, tickets(tweak{}), func(app *bustest.App[desk]) {
			app.StepClock(by)
			began := time.Now()
			app.World().Service("card").Next("charge", bustest.Fails, bustest.Fails)
			ask(app, "a")
			app.Quiet()
			if took := time.Since(began); took < 100*time.Millisecond || took > time.Second {
				t.Errorf("set by %v: two retries take %v", by, took)
			}
			app.Advance(month - time.Minute)
			app.Flow("a").Never(reminded{})
			app.Advance(2 * time.Minute)
			app.Flow("a").Causes(paid{}, reminded{ID: "a"})
		})
	}
}
