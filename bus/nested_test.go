//troupe:allow nested the tests expect that the bus refuses the calls

package bus_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupebus/troupe/bus"
)

// Do, Publish and View are refused within work at once, whatever context they get.
func TestNestedByAnotherContext(t *testing.T) {
	t.Parallel()
	var a *app
	look := func(bus.SQL) error { return nil }
	var mu sync.Mutex
	got := map[string]error{}
	try := func(where string, ctx context.Context, transaction bool) {
		_, published := a.m.Publish(context.Background(), asked{"nested", 1})
		_, done := a.m.Do(context.WithoutCancel(ctx), func(context.Context) (bus.Events, error) { return nil, nil })
		viewed := errors.Join(a.View(context.Background(), look), a.m.View(ctx, look))
		mu.Lock()
		defer mu.Unlock()
		got[where+" Publish"], got[where+" Do"] = published, done
		if got[where+" View"] = viewed; !transaction && viewed == nil {
			got[where+" View"] = bus.ErrNested // it may
		}
	}
	ready := make(chan struct{})
	a = MustRun(t, bus.Config{}, func(m *bus.Module) {
		m.Emits(asked{}).ForOutside(asked{})
		bus.On(m, "transactional", func(ctx context.Context, e asked) (bus.Events, error) {
			<-ready
			try("handler", ctx, true)
			return nil, nil
		}).When(func(asked) bool { try("When", context.Background(), true); return true })
		bus.On(m, "external", func(ctx context.Context, e asked) (bus.Events, error) {
			<-ready
			try("external", ctx, false)
			if err := a.View(ctx, func(bus.SQL) error { try("view of external", ctx, false); return nil }); err != nil {
				return nil, err
			}
			err := bus.Commit(ctx, func(ctx context.Context) error { try("Commit", ctx, true); return nil })
			return bus.Emit().Also(func(ctx context.Context) error { try("Also", ctx, true); return nil }), err
		}).External(1)
	})
	close(ready)
	if _, err := a.m.Do(t.Context(), func(ctx context.Context) (bus.Events, error) {
		try("Do", ctx, true)
		return bus.Emit(asked{"a", 1}), nil
	}); err != nil {
		t.Fatal(err)
	}
	a.wait(t)
	if len(got) != 21 {
		t.Errorf("%d were tried", len(got))
	}
	for what, err := range got {
		if !errors.Is(err, bus.ErrNested) {
			t.Errorf("%s: %v", what, err)
		}
	}
	wantStrings(t, "events", a.strings(t, "SELECT key FROM events"), "a")
	if err := a.View(t.Context(), look); err != nil {
		t.Error(err)
	}
}

// The function of a schedule runs within a commit, and is refused like a handler.
func TestNestedInASchedule(t *testing.T) {
	t.Parallel()
	var a *app
	ready, answers := make(chan struct{}), make(chan error, 1)
	a = MustRun(t, bus.Config{}, func(m *bus.Module) {
		m.ForOutside(asked{}).Every("tick", "1s", func(time.Time) bus.Event {
			<-ready
			_, err := a.m.Publish(context.Background(), asked{"a", 1})
			select {
			case answers <- err:
			default:
			}
			return nil
		}).Emits(asked{})
	})
	close(ready)
	if err := <-answers; !errors.Is(err, bus.ErrNested) {
		t.Errorf("a schedule publishes: %v", err)
	}
	wantStrings(t, "events", a.strings(t, "SELECT key FROM events"))
}

// A goroutine that a handler starts publishes after the handler's commit, and what a handler waits for in vain is not
// carried out. What others publish meanwhile, even a goroutine that an earlier handler started, is not the handler's.
func TestNestedInAGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var a *app
		jobs := make(chan string)
		defer close(jobs)
		answers := make(chan error, 2)
		a = MustRun(t, bus.Config{}, func(m *bus.Module) {
			m.Emits(asked{}, answered{}).ForOutside(answered{})
			bus.On(m, "works", func(ctx context.Context, e asked) (bus.Events, error) {
				if e.Key == "starts" {
					go func() {
						for key := range jobs {
							_, err := a.m.Publish(context.Background(), answered{key, 1})
							answers <- err
						}
					}()
					return nil, nil
				}
				jobs <- e.Key
				<-time.After(time.Second) // the job is queued behind this
				return nil, note(ctx, "works", e.Key, e.N)
			})
		})
		a.publish(t, asked{"starts", 1})
		a.publish(t, asked{"job", 1})
		if err := <-answers; err != nil {
			t.Error(err)
		}
		wantStrings(t, "outcomes", a.outcomes(t, "test/works"), "done/1", "done/1")
		wantStrings(t, "events", a.strings(t, "SELECT type || ' ' || key FROM events ORDER BY seq"),
			"test.asked starts", "test.asked job", "test.answered job")
	})
}

// What a goroutine of an external handler publishes is a commit of its own, whatever becomes of the handler, and holds nobody up.
func TestNestedInAGoroutineOfAnExternalHandler(t *testing.T) {
	t.Parallel()
	var a *app
	a = MustRun(t, bus.Config{Retry: fast}, func(m *bus.Module) {
		m.Emits(asked{}, answered{}).ForOutside(answered{})
		bus.On(m, "calls", func(ctx context.Context, e asked) (bus.Events, error) {
			attempt := bus.Delivery(ctx).Attempt
			var own sync.WaitGroup
			own.Go(func() {
				if _, err := a.m.Publish(ctx, answered{"with its context", attempt}); !errors.Is(err, bus.ErrNested) {
					t.Errorf("with the handler's context: %v", err)
				}
				if _, err := a.m.Publish(context.Background(), answered{"aside", attempt}); err != nil {
					t.Errorf("with another context: %v", err)
				}
			})
			own.Wait() // it does not wait for the handler's end
			if attempt == 1 {
				return nil, errPlanned
			}
			return bus.Emit(answered{"returned", attempt}), nil
		}).Emits(answered{}).External(1)
	})
	a.publish(t, asked{"a", 1})
	wantStrings(t, "outcomes", a.outcomes(t, "test/calls"), "done/2")
	wantStrings(t, "events", a.strings(t, "SELECT key || iif(causation_id = '', '', ' of the handler') FROM events WHERE type = 'test.answered' ORDER BY seq"),
		"aside", "aside", "returned of the handler")
}

// What work that is cut off has queued is not carried out after it, be it by a goroutine of its goroutines.
func TestNestedInAbandonedWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var a *app
		never := make(chan struct{})
		defer close(never)
		inner := make(chan error, 1)
		a = MustRun(t, bus.Config{Retry: bus.Retry{Attempts: -1}}, func(m *bus.Module) {
			m.Emits(asked{}, answered{}).ForOutside(answered{})
			bus.On(m, "hangs", func(context.Context, asked) (bus.Events, error) {
				go func() {
					go func() {
						_, err := a.m.Publish(context.Background(), answered{"deep", 1})
						inner <- err
					}()
					_, err := a.m.Publish(context.Background(), answered{"inner", 1})
					inner <- err
				}()
				<-never
				return nil, nil
			}).Timeout(10 * time.Millisecond)
		})
		a.publish(t, asked{"a", 1})
		for range 2 {
			if err := <-inner; !errors.Is(err, bus.ErrNested) {
				t.Errorf("its goroutine: %v", err)
			}
		}
		wantStrings(t, "outcomes", a.outcomes(t, "test/hangs"), "dead/1")
		wantStrings(t, "events", a.strings(t, "SELECT key FROM events"), "a")
	})
}
