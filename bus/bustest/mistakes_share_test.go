package bustest_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// harming is a store in which work that is refused takes with it what the next piece of work in the same commit has written.
type harming struct {
	journal.Store
	running atomic.Int32
	refused atomic.Bool
}

// React implements journal.Journal.
func (h *harming) React(ctx context.Context, d *journal.Delivery, w journal.Work, run func(journal.TxFunc) journal.Verdict) error {
	if h.running.Add(1) == 1 {
		h.refused.Store(false)
	}
	defer h.running.Add(-1)
	return h.Store.React(ctx, d, w, func(tx journal.TxFunc) journal.Verdict {
		v := run(tx)
		if v.Abort != nil {
			h.refused.Store(true)
		} else if h.refused.Swap(false) {
			if _, err := tx().Exec("DELETE FROM shop_rows WHERE rowid = (SELECT max(rowid) FROM shop_rows)"); err != nil {
				v.Abort = err
			}
		}
		return v
	})
}

// writes books each event, on a store.
func writes(open func(journal.Store) journal.Store) bustest.System[stall] {
	sys := mistake(func(m *bus.Module, _ *bustest.World) {
		bus.On(m, "book", func(ctx context.Context, e opened) (bus.Events, error) { return nil, insert(ctx, e.ID, e.N) })
	})
	sys.Open = func(ctx context.Context, path string) (journal.Store, error) {
		s, err := sqlitetest.Open(ctx, path)
		if err != nil {
			return nil, err
		}
		return open(s), nil
	}
	return sys
}

// One that is refused in a commit must not harm the others: a store in which it does is found, in exhaustive schedules, too.
func TestAStoreInWhichOneHarmsTheOthers(t *testing.T) {
	t.Parallel()
	wrong := writes(func(s journal.Store) journal.Store { return &harming{Store: s} })
	right := writes(func(s journal.Store) journal.Store { return s })
	scenario := func(app *bustest.App[stall]) { open(app, "a", "b") }
	x := bustest.Exploration{With: bustest.Groups, Same: rows, Without: bustest.Crashes}
	f := found(t, 100, wrong, x, func(app *bustest.App[stall]) { open(app, "a", "b", "c", "d") })
	wantFound(t, f, "the final state depends on the schedule")
	if want := "share a commit, and the store refuses the work of the first"; len(f.Story) > 2 || !strings.Contains(strings.Join(f.Story, "; "), want) {
		t.Errorf("story %q, want %q", f.Story, want)
	}
	x.Without |= bustest.Pauses
	for name, sys := range map[string]bustest.System[stall]{"wrong": wrong, "right": right} {
		x := x
		x.Exhaustive = true
		f := bustest.Search(t, sys, x, scenario)
		if (len(f.Wrong) > 0) != (name == "wrong") || name == "wrong" && (len(f.Story) != 1 || !strings.Contains(f.Story[0], "refuses the work of the first")) {
			t.Errorf("%s, exhaustive: %v", name, f)
		}
		t.Logf("%s, exhaustive: %d schedules", name, f.Schedules)
	}
}

// A scenario that sets the clock says so.
func TestStepClockThatIsNotAskedFor(t *testing.T) {
	t.Parallel()
	sys := mistake(func(*bus.Module, *bustest.World) {})
	scenario := func(app *bustest.App[stall]) {
		app.StepClock(time.Hour)
		if age := time.Until(app.World().Now()); age < 59*time.Minute {
			app.T().Errorf("the world's clock is %v ahead", age)
		}
	}
	wantFound(t, bustest.Search(t, sys, bustest.Exploration{Schedules: 1}, scenario), "StepClock in Explore needs Exploration{With: bustest.Clocks}")
	noAlarm(t, sys, bustest.Exploration{With: bustest.Clocks}, scenario)
}
