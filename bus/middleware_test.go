package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
)

// again calls the handler up to three times until it succeeds, like the Retry of Watermill.
func again(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) (out []*message.Message, err error) {
		for range 3 {
			if out, err = next(m); err == nil {
				break
			}
		}
		return out, err
	}
}

// heard notes the results of the handler, by key, and whether the journal has a record by then.
type heard struct {
	mu      sync.Mutex
	results map[string][]string
	check   func(key string) string
}

func (h *heard) middleware(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		out, err := next(m)
		key := journal.FromContext(m.Context()).Event.Key
		said := fmt.Sprint(err)
		if h.check != nil && err != nil {
			said += h.check(key)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.results[key] = append(h.results[key], said)
		return out, err
	}
}

// wait returns the results of key, sorted, when there are n.
func (h *heard) wait(t *testing.T, key string, n int) (got []string) {
	t.Helper()
	until(t, "middleware has heard the results of "+key, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		got = slices.Sorted(slices.Values(h.results[key]))
		return len(got) >= n
	})
	return got
}

// Middleware gets the error of an attempt that failed, after the record, and a handler that middleware calls again
// neither runs nor fails again.
func TestMiddlewareSeesErrors(t *testing.T) {
	t.Parallel()
	for _, parallel := range []int{0, 4} {
		t.Run(fmt.Sprint("External ", parallel), func(t *testing.T) {
			t.Parallel()
			var runs sync.Map
			h := &heard{results: map[string][]string{}}
			cfg := bus.Config{Retry: fast, Middleware: []message.HandlerMiddleware{again, h.middleware}}
			var a *app
			ready := make(chan struct{})
			h.check = func(key string) string {
				<-ready
				const query = `SELECT 'x' FROM dead_letters JOIN events USING (seq) WHERE events.key = ?1
					UNION ALL SELECT 'x' FROM pending JOIN events USING (seq) WHERE events.key = ?1 AND state = 'retrying'
					UNION ALL SELECT 'x' FROM deliveries JOIN events USING (seq) WHERE events.key = ?1`
				if len(a.strings(t, query, key)) == 0 {
					return ", not recorded"
				}
				return ""
			}
			a = MustRun(t, cfg, func(m *bus.Module) {
				work := bus.On(m.Emits(asked{}), "work", func(_ context.Context, e asked) (bus.Events, error) {
					n, _ := runs.LoadOrStore(e.Key, new(atomic.Int32))
					switch first := n.(*atomic.Int32).Add(1) == 1; {
					case e.Key == "retried" && first:
						return nil, errPlanned
					case e.Key == "dead":
						return nil, bus.Dead(errPlanned)
					case e.Key == "dropped":
						return nil, bus.Drop("not wanted")
					case e.Key == "panicked" && first:
						panic("in the handler")
					case e.Key == "undeclared":
						return bus.Emit(answered(e)), nil
					}
					return nil, nil
				}).When(func(e asked) bool { return e.Key != "skipped" })
				if parallel > 0 {
					work.External(parallel)
				}
			})
			close(ready)
			undeclared := `bus: undeclared event: test/work emits "test.answered": add the event to Emits`
			for _, c := range []struct {
				key  string
				runs int
				want []string
			}{
				{"done", 1, []string{"<nil>"}},
				{"retried", 2, []string{"planned failure", "planned failure", "planned failure", "<nil>"}},
				{"dead", 1, []string{"planned failure", "planned failure", "planned failure"}},
				{"dropped", 1, []string{"<nil>"}},
				{"skipped", 0, []string{"<nil>"}},
				{"panicked", 2, []string{"panic: in the handler", "panic: in the handler", "panic: in the handler", "<nil>"}},
				{"undeclared", 1, []string{undeclared, undeclared, undeclared}},
			} {
				a.publish(t, asked{c.key, 1})
				n := 0
				if got, ok := runs.Load(c.key); ok {
					n = int(got.(*atomic.Int32).Load())
				}
				if n != c.runs {
					t.Errorf("%s: the handler ran %d times, want %d", c.key, n, c.runs)
				}
				slices.Sort(c.want) // two attempts may run at once: the first in middleware, the second in the handler
				wantStrings(t, c.key, h.wait(t, c.key, len(c.want)), c.want...)
			}
			wantStrings(t, "deliveries", a.outcomes(t, "test/work"),
				"done/1", "done/2", "dead/1", "dropped/1", "skipped/1", "done/2", "dead/1")
		})
	}
}

// Work that the shutdown leaves to the next process is no failure.
func TestMiddlewareAtShutdown(t *testing.T) {
	t.Parallel()
	h := &heard{results: map[string][]string{}}
	called := make(chan struct{})
	cfg := bus.Config{ShutdownTimeout: time.Millisecond, Middleware: []message.HandlerMiddleware{h.middleware}}
	a := MustRun(t, cfg, func(m *bus.Module) {
		bus.On(m.Emits(asked{}), "work", func(ctx context.Context, e asked) (bus.Events, error) {
			close(called)
			<-ctx.Done()
			return nil, errors.New("cut off")
		}).External(1)
	})
	if _, err := a.m.Publish(t.Context(), asked{"a", 1}); err != nil {
		t.Fatal(err)
	}
	<-called
	a.stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	wantStrings(t, "results", h.results["a"], "<nil>")
}
