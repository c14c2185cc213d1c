package bustest_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// nightly has a row for each night at half past two, except the second of a month.
func nightly(refine func(*bus.Schedule)) bustest.System[stall] {
	return mistake(func(m *bus.Module, _ *bustest.World) {
		s := m.Every("nightly", "30 2 * * *", func(t time.Time) bus.Event {
			if t.Day() == 2 {
				return nil
			}
			return opened{ID: t.Format("01-02 15:04")}
		}).Emits(opened{})
		refine(s)
		bus.On(m, "note", func(ctx context.Context, e opened) (bus.Events, error) { return nil, insert(ctx, e.ID, 0) })
	})
}

// nights returns the rows.
func nights(app *bustest.App[stall]) (got string) {
	app.Quiet()
	app.Must("look", func(ctx context.Context, s stall) error {
		return s.View(ctx, func(tx bus.SQL) (err error) {
			got, err = rows(ctx, func(string) bus.SQL { return tx })
			return err
		})
	})
	return strings.NewReplacer(" 02:30:0:0.0", "", "01-", "").Replace(got)
}

const day = 24 * time.Hour

// Each night comes once, and of the nights that a machine slept through, those that the schedule wants.
func TestNightly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refine func(*bus.Schedule)
		want   string
	}{
		"last": {func(*bus.Schedule) {}, "03,04,08,09,10"},
		"each": {func(s *bus.Schedule) { s.EachMissed() }, "03,04,05,06,07,08,09,10"},
		"none": {func(s *bus.Schedule) { s.NoneMissed() }, "03,04,09,10"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bustest.Run(t, nightly(c.refine), func(app *bustest.App[stall]) { // from midnight of 2000-01-01
				app.Advance(12 * time.Hour)
				app.Advance(3 * day)
				app.StepClock(4 * day)
				app.Crash()
				app.StepClock(-2 * day)
				app.Advance(4 * day)
				if got := strings.TrimPrefix(nights(app), "01,"); got != c.want {
					t.Errorf("nights %s, want %s", got, c.want)
				}
			})
		})
	}
}

// Every night comes once, whenever the process dies.
func TestNightlyExplored(t *testing.T) {
	t.Parallel()
	noAlarm(t, nightly(func(s *bus.Schedule) { s.EachMissed() }), bustest.Exploration{Without: bustest.Pauses | bustest.Starts}, func(app *bustest.App[stall]) {
		app.Advance(3*day + 12*time.Hour)
		if got := nights(app); got != "01,03,04" {
			app.T().Errorf("nights %s", got)
		}
	})
}

// forgetful is a store that writes a step of a schedule with the step after it: a bug that a crash shows.
type forgetful struct {
	journal.Store
	step atomic.Pointer[journal.Tick]
	runs atomic.Int64
}

func (f *forgetful) Ticked(ctx context.Context, schedule string) (time.Time, error) {
	if step := f.step.Load(); step != nil {
		return step.To, nil
	}
	return f.Store.Ticked(ctx, schedule)
}

func (f *forgetful) Do(ctx context.Context, w journal.Work, run func(journal.TxFunc) ([]*journal.Event, error)) error {
	step := w.Tick
	if step == nil {
		return f.Store.Do(ctx, w, run)
	}
	w.Tick = f.step.Load()
	err := f.Store.Do(ctx, w, func(tx journal.TxFunc) ([]*journal.Event, error) {
		events, err := run(tx)
		for _, e := range events {
			e.ID = fmt.Sprint(e.ID, f.runs.Add(1))
		}
		return events, err
	})
	if err == nil {
		f.step.Store(step)
	}
	return err
}

// The kit finds a timer that fires twice.
func TestTimerThatFiresTwice(t *testing.T) {
	t.Parallel()
	sys := nightly(func(s *bus.Schedule) { s.EachMissed() })
	sys.Open = func(ctx context.Context, path string) (journal.Store, error) {
		store, err := sqlitetest.Open(ctx, path)
		f := &forgetful{Store: store}
		f.runs.Store(time.Now().UnixNano())
		return f, err
	}
	f := found(t, 100, sys, bustest.Exploration{}, func(app *bustest.App[stall]) { app.Advance(3*day + 12*time.Hour) })
	wantFound(t, f, "rows that are there twice: 01-0")
}
