package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
)

// An observer shows which delayed events are cancelled, in whatever order it hears of them, and how often.
func TestAnObserverHearsOfCancelledEvents(t *testing.T) {
	t.Parallel()
	wire := func(m *bus.Module) {
		m.ForOutside(reminded{})
		bus.On(m, "answer", func(_ context.Context, e asked) (bus.Events, error) {
			if e.N < 0 {
				return bus.Emit(bus.Cancel("reminder", "7")), nil
			}
			return bus.Emit(bus.After(24*time.Hour, reminded{7}).Named("reminder")), nil
		}).Emits(reminded{})
	}
	path := filepath.Join(t.TempDir(), "owner.db")
	var stages [][]*journal.Event
	for _, n := range []int{1, -1} {
		a := MustRun(t, path, wire)
		if _, err := a.m.Publish(bus.Correlate(t.Context(), "f"), asked{"a", n}); err != nil {
			t.Fatal(err)
		}
		if err := a.j.Quiet(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.stop()
		events, records := MustFeed(t, path)
		stages = append(stages, append(events, records...))
	}
	for name, order := range map[string][]int{"in order": {0, 1, 1}, "the other way around": {1, 0}} {
		j, o := MustObserveSubs(t, filepath.Join(t.TempDir(), "observer.db"), []journal.Subscription{{Name: "test/answer", Types: []string{"test.asked"}}})
		for _, i := range order {
			mustTake(t, o, stages[i]...)
		}
		flows, err := j.Reader().Flow(t.Context(), "f")
		if err != nil || len(flows) != 1 || len(flows[0].Delayed) != 0 || len(flows[0].Cancelled) != 1 || flows[0].Cancelled[0].Name != "reminder" {
			t.Errorf("%s: the observer has %+v: %v", name, flows, err)
		}
	}
}
