package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/troupebus/troupe/bus"
)

type aroundKey struct{}

var errAround = errors.New("by Around")

// The keys of events that TestAround handles, with the outcome and the reason, and whether the handler's row stays.
var arounds = []struct {
	key, outcome, why string
	stays             bool
}{
	{"done", "done/1", "", true},
	{"failed", "dead/3", "planned failure", false},
	{"swallowed", "dead/3", "planned failure", false},
	{"replaced", "dead/3", "by Around", false},
	{"refused after success", "dead/3", "by Around", false},
	{"not called", "dead/3", "without a call of next", false},
	{"refused", "dead/3", "by Around", false},
	{"twice", "dead/3", "has called next twice", false},
	{"dead", "dead/1", "planned failure", false},
	{"dropped", "dropped/1", "not wanted", false},
	{"panicked", "dead/3", "panic: in the handler", false},
	{"panicked around", "dead/3", "panic: in Around", false},
	{"left", "dead/3", "before next returned", false},
}

// around misbehaves as the key of the event says, and notes the errors of next by key.
func around(noted *sync.Map) func(context.Context, bus.Event, func(context.Context) error) error {
	return func(ctx context.Context, e bus.Event, next func(context.Context) error) error {
		switch e.EventKey() {
		case "not called":
			return nil
		case "refused":
			return errAround
		case "left":
			started, hold := make(chan struct{}), make(chan struct{})
			defer close(hold)
			go func() { _ = next(context.WithValue(ctx, aroundKey{}, func() { close(started); <-hold })) }()
			<-started
			return nil
		}
		err := next(context.WithValue(ctx, aroundKey{}, bus.Delivery(ctx).Subscription+" "+e.EventType()))
		noted.Store(e.EventKey(), fmt.Sprint(err))
		switch e.EventKey() {
		case "swallowed":
			return nil
		case "replaced", "refused after success":
			return errAround
		case "twice":
			return next(ctx)
		case "panicked around":
			panic("in Around")
		}
		return err
	}
}

// In a transaction and outside, an attempt fails when the handler or Around fails, and Around sees the handler's error.
func TestAround(t *testing.T) {
	t.Parallel()
	for _, parallel := range []int{0, 4} {
		t.Run(fmt.Sprint("External ", parallel), func(t *testing.T) {
			t.Parallel()
			var noted sync.Map
			handle := func(ctx context.Context, e asked) (bus.Events, error) {
				if wait, ok := ctx.Value(aroundKey{}).(func()); ok {
					wait()
					return nil, nil
				}
				if got := ctx.Value(aroundKey{}); got != "test/work test.asked" {
					t.Errorf("%s: the handler gets %v from Around", e.Key, got)
				}
				row := func(ctx context.Context) error { return note(ctx, "work", e.Key, e.N) }
				var err error
				if parallel == 0 {
					err = row(ctx)
				}
				switch e.Key {
				case "failed", "swallowed", "replaced":
					err = errPlanned
				case "dead":
					err = bus.Dead(errPlanned)
				case "dropped":
					err = bus.Drop("not wanted")
				case "panicked":
					panic("in the handler")
				}
				if parallel == 0 {
					return nil, err
				}
				return bus.Emit().Also(row), err
			}
			a := MustRun(t, bus.Config{Retry: fast, Around: around(&noted)}, func(m *bus.Module) {
				h := bus.On(m.Emits(asked{}), "work", handle)
				if parallel > 0 {
					h.External(parallel)
				}
			})
			var rows, outcomes, letters []string
			for _, c := range arounds {
				a.publish(t, asked{c.key, 1})
				outcomes = append(outcomes, c.outcome)
				if c.stays {
					rows = append(rows, c.key+":1")
				}
				if strings.HasPrefix(c.outcome, "dead") {
					letters = append(letters, c.why)
				}
			}
			wantStrings(t, "rows", a.seen(t, "work"), rows...)
			wantStrings(t, "deliveries", a.outcomes(t, "test/work"), outcomes...)
			for i, got := range a.strings(t, "SELECT error FROM dead_letters ORDER BY seq") {
				if !strings.Contains(got, letters[i]) {
					t.Errorf("a dead letter says %q, want %q", got, letters[i])
				}
			}
			for key, want := range map[string]string{
				"done": "<nil>", "failed": "planned failure", "swallowed": "planned failure", "dead": "planned failure",
				"dropped": "not wanted", "panicked": "panic: in the handler",
			} {
				if got, _ := noted.Load(key); got != want {
					t.Errorf("%s: next returned %v, want %v", key, got, want)
				}
			}
		})
	}
}
