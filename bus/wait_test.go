package bus_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
)

// Wait uses no attempt, in handlers of both kinds: before, between and after failed attempts.
func TestWaitUsesNoAttempt(t *testing.T) {
	t.Parallel()
	for _, external := range []bool{false, true} {
		var mu sync.Mutex
		var attempts []int
		a := MustRun(t, bus.Config{Retry: fast}, func(m *bus.Module) {
			m.Emits(asked{})
			h := bus.On(m, "call", func(ctx context.Context, _ asked) (bus.Events, error) {
				mu.Lock()
				defer mu.Unlock()
				attempts = append(attempts, bus.Delivery(ctx).Attempt)
				switch n := len(attempts); {
				case n == 5 || n > 9:
					return nil, errPlanned
				default:
					return nil, bus.Wait(0, "too many calls")
				}
			})
			if external {
				h.External(1)
			}
		})
		a.publish(t, asked{"a", 1}, asked{"a", 2})
		if want := []int{1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3}; !slices.Equal(attempts[:len(want)], want) {
			t.Errorf("external %v: the attempts have the numbers %v, want %v", external, attempts, want)
		}
		wantStrings(t, "deliveries", a.outcomes(t, "test/call"), "dead/3", "dead/3")
		wantStrings(t, "errors", a.strings(t, "SELECT DISTINCT error FROM deliveries"), "planned failure")
		wantStrings(t, "first failures before the last attempt", a.strings(t, `
SELECT l.first_failed_at < d.started_at FROM dead_letters l JOIN deliveries d USING (seq, subscription) WHERE l.first_failed_at > 0`), "1", "1")
	}
}

// While a delivery waits, the flow tells the reason and no failed attempt, and later events of the key wait, too.
func TestWaitIsShown(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{}, func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "call", func(context.Context, asked) (bus.Events, error) {
			return nil, bus.Wait(time.Hour, "closed until the morning")
		})
	})
	flow, err := a.m.Publish(t.Context(), asked{"a", 1}, asked{"a", 2})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "both wait", func() bool { b := a.j.Backlog(); return b.Retrying == 1 && b.Blocked == 1 })
	flows, err := a.j.Reader().Flow(t.Context(), flow)
	if err != nil {
		t.Fatal(err)
	}
	var tree strings.Builder
	for _, f := range flows {
		if err := f.WriteTree(&tree, journal.TreeOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	text := tree.String()
	if want := "test/call  retrying, attempt 1 in "; !strings.Contains(text, want) || !strings.Contains(text, ": not now: closed until the morning") {
		t.Errorf("the flow is shown as\n%s", text)
	}
}
