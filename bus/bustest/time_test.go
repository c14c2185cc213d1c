package bustest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/journal"
)

// tripBooked and tripReminder are about a trip; a reminder comes a day before the departure.
type (
	tripBooked   struct{ ID, Departs string }
	tripReminder struct{ ID, Departs string }
)

func (tripBooked) EventType() string    { return "shop.trip_booked" }
func (e tripBooked) EventKey() string   { return e.ID }
func (tripReminder) EventType() string  { return "shop.trip_reminder" }
func (e tripReminder) EventKey() string { return e.ID }

// trips reminds of trips. The first attempts fail while broken says so.
func trips(broken *bool, plan func(departs time.Time, e bus.Event) bus.Event) bustest.System[stall] {
	return mistake(func(m *bus.Module, w *bustest.World) {
		m.Emits(tripBooked{})
		bus.On(m, "plan", func(_ context.Context, e tripBooked) (bus.Events, error) {
			departs, err := time.Parse(time.RFC3339, e.Departs)
			if err != nil || *broken {
				return nil, bus.Dead(errors.Join(err, errors.New("no timetable")))
			}
			return bus.Emit(plan(departs, tripReminder(e))), nil
		}).Emits(tripReminder{})
		bus.On(m, "remind", func(ctx context.Context, e tripReminder) (bus.Events, error) {
			departs, err := time.Parse(time.RFC3339, e.Departs)
			if err != nil {
				return nil, err
			}
			return nil, insert(ctx, e.ID, int(departs.Sub(w.Now()).Round(time.Hour)/time.Hour))
		})
	})
}

// bookTrip books a trip that departs in the given time.
func bookTrip(app *bustest.App[stall], in time.Duration) {
	departs := app.World().Now().Add(in).Format(time.RFC3339)
	app.Must("book a trip", func(ctx context.Context, s stall) error {
		_, err := s.Publish(ctx, tripBooked{ID: "trip", Departs: departs})
		return err
	})
}

// hoursBefore returns how many hours before its departure a trip has been reminded of.
func hoursBefore(t *testing.T, app *bustest.App[stall]) int {
	t.Helper()
	n := -1
	app.Must("look", func(ctx context.Context, s stall) error {
		return s.View(ctx, func(tx bus.SQL) error {
			return tx.QueryRowContext(ctx, "SELECT coalesce(max(n), -1) FROM shop_rows").Scan(&n)
		})
	})
	return n
}

// A reminder comes a day before, though the plan is made 30 hours late, by the replay of a dead letter, and the clock
// is set meanwhile.
func TestReminderOfALatePlan(t *testing.T) {
	t.Parallel()
	aDayBefore := func(departs time.Time, e bus.Event) bus.Event { return bus.At(departs.AddDate(0, 0, -1), e) }
	for name, late := range map[string]struct {
		by, in, set time.Duration
		want        int
	}{
		"at once":          {0, 72 * time.Hour, 0, 24},
		"30 hours late":    {30 * time.Hour, 72 * time.Hour, 0, 24},
		"clock ahead":      {30 * time.Hour, 72 * time.Hour, 10 * time.Hour, 24},
		"clock behind":     {30 * time.Hour, 72 * time.Hour, -20 * time.Hour, 24},
		"after the moment": {30 * time.Hour, 48 * time.Hour, 0, 18}, // at once
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := true
			bustest.Run(t, trips(&broken, aDayBefore), func(app *bustest.App[stall]) {
				bookTrip(app, late.in)
				app.Quiet()
				app.StepClock(late.set)
				app.Advance(late.by)
				broken = false
				app.Replay("shop/plan")
				app.Crash()
				app.Advance(100 * time.Hour)
				if got := hoursBefore(t, app); got != late.want {
					t.Errorf("reminded %d hours before the departure, want %d", got, late.want)
				}
			})
		})
	}
}

// A delay that counts from the clock differs between two runs of a reaction, and At does not.
func TestPlanFromTheClock(t *testing.T) {
	t.Parallel()
	broken := false
	scenario := func(app *bustest.App[stall]) { bookTrip(app, 72*time.Hour) }
	fromNow := func(departs time.Time, e bus.Event) bus.Event { return bus.After(time.Until(departs), e) }
	wantFound(t, found(t, 1, trips(&broken, fromNow), bustest.Exploration{}, scenario), "run again on the same state, delayed shop.trip_reminder by 72h0m0s, and then by ")
	at := func(departs time.Time, e bus.Event) bus.Event { return bus.At(departs, e) }
	noAlarm(t, trips(&broken, at), bustest.Exploration{With: bustest.Clocks}, scenario)
	past := func(_ time.Time, e bus.Event) bus.Event { return bus.At(time.Time{}, e) }
	bustest.Run(t, trips(&broken, past), func(app *bustest.App[stall]) {
		bookTrip(app, 72*time.Hour)
		app.Quiet()
		flows, err := app.Flows()
		if err != nil || len(flows) != 1 || len(flows[0].Events) != 2 || flows[0].Outcomes()[journal.Done] != 2 {
			t.Errorf("a time in the past means now; the flows are %v, %v", flows, err)
		}
	})
}

// receipts pays at the bank for what is opened, and says so; stamp fills the body of the call and the event.
func receipts(stamp func(ctx context.Context) string) bustest.System[stall] {
	return mistake(func(m *bus.Module, w *bustest.World) {
		m.ForOutside(tripReminder{})
		bus.On(m, "pay", func(ctx context.Context, e opened) (bus.Events, error) {
			body := stamp(ctx)
			_, err := bustest.Ask(ctx, w.Service("bank"), bustest.Request{Op: "pay", Key: e.ID, Body: body}, func() (bool, error) { return true, nil })
			return bus.Emit(tripReminder{ID: e.ID, Departs: body + stamp(ctx)}), err
		}).Emits(tripReminder{}).External(2)
		bus.On(m, "note", func(ctx context.Context, e opened) (bus.Events, error) {
			return bus.Emit(tripReminder{ID: e.ID, Departs: stamp(ctx)}), nil
		}).Emits(tripReminder{})
	})
}

// Times and ids of the bus are the same after crashes, lost answers and steps of the clock. Those of the machine are
// not, and the kit says what to use.
func TestTimesAndIDsThatRepeat(t *testing.T) {
	t.Parallel()
	scenario := func(app *bustest.App[stall]) { open(app, "a", "b") }
	clock := func(context.Context) string { return time.Now().String() }
	f := found(t, 1, receipts(clock), bustest.Exploration{}, scenario)
	wantFound(t, f, ": use bus.Now(ctx) for a time, and bus.NewID(ctx) for an id")
	stamps := func(ctx context.Context) string { return fmt.Sprint(bus.Now(ctx), bus.NewID(ctx), bus.NewID(ctx)) }
	noAlarm(t, receipts(stamps), bustest.Exploration{With: allParts}, scenario)
}

// alarms has an alarm for what is opened: n hours later, instead of an earlier alarm; for 0, none.
func alarms(m *bus.Module, w *bustest.World) {
	bus.On(m, "set", func(_ context.Context, e opened) (bus.Events, error) {
		if e.N == 0 {
			return bus.Emit(bus.Cancel("alarm", e.ID)), nil
		}
		return bus.Emit(bus.After(time.Duration(e.N)*time.Hour, closed{e.ID}).Named("alarm")), nil
	}).Emits(closed{})
	bus.On(m, "ring", func(ctx context.Context, e closed) (bus.Events, error) {
		return nil, insert(ctx, e.ID, 0)
	}).AnyOrder()
}

// setAlarm sets or cancels the alarm of id.
func setAlarm(app *bustest.App[stall], id string, n int) {
	app.Must(fmt.Sprintf("set %s to %d", id, n), func(ctx context.Context, s stall) error {
		_, err := s.Publish(ctx, opened{id, n})
		return err
	})
	app.Quiet()
}

// The latest alarm of a key rings, once, in whatever way processes die; those that were replaced or cancelled do not,
// and the flows say so.
func TestAlarmsAreReplacedAndCancelled(t *testing.T) {
	t.Parallel()
	scenario := func(app *bustest.App[stall]) {
		for _, n := range []int{1, 4, 2} {
			setAlarm(app, "replaced", n)
		}
		for _, n := range []int{1, 0, 0} {
			setAlarm(app, "cancelled", n)
		}
		setAlarm(app, "kept", 3)
		app.Advance(150 * time.Minute)
		var got string
		app.Must("look", func(ctx context.Context, s stall) error {
			return s.View(ctx, func(tx bus.SQL) (err error) {
				got, err = rows(ctx, func(string) bus.SQL { return tx })
				return err
			})
		})
		if got != "replaced:0:0.0" {
			app.T().Errorf("%s have rung", got)
		}
		app.Advance(time.Hour)
	}
	sys := mistake(alarms)
	bustest.Run(t, sys, func(app *bustest.App[stall]) {
		scenario(app)
		flows, err := app.Flows()
		cancelled := 0
		for _, f := range flows {
			for _, d := range f.Cancelled {
				if cancelled++; d.Name != "alarm" || d.CancelledAt.IsZero() || d.Subscription != "shop/set" {
					t.Errorf("cancelled: %+v", d)
				}
			}
		}
		if err != nil || cancelled != 3 {
			t.Errorf("%d alarms are cancelled, want 3: %v", cancelled, err)
		}
	})
	noAlarm(t, sys, bustest.Exploration{Without: bustest.Pauses}, scenario)
}

// By the defaults, a service that is away for an hour leaves no dead letter.
func TestAServiceThatIsAwayForAnHour(t *testing.T) {
	t.Parallel()
	attempts := 0
	sys := mistake(func(m *bus.Module, _ *bustest.World) {
		bus.On(m, "call", func(ctx context.Context, _ opened) (bus.Events, error) {
			attempts = bus.Delivery(ctx).Attempt
			if time.Since(bus.Delivery(ctx).Time) < time.Hour {
				return nil, errors.New("the service is away")
			}
			return nil, nil
		}).External(1)
	})
	bustest.Run(t, sys, func(app *bustest.App[stall]) {
		open(app, "a")
		app.Quiet()
		flows, err := app.Flows()
		if err != nil || len(flows) != 1 || flows[0].Outcomes()[journal.Done] != 1 || attempts < 15 {
			t.Errorf("after %d attempts, the flows are %v, %v", attempts, flows, err)
		}
	})
}
