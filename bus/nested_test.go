package bus_test

import (
	"context"
	"database/sql"
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
	look := func(*sql.Tx) error { return nil }
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
		})
		bus.On(m, "external", func(ctx context.Context, e asked) (bus.Events, error) {
			<-ready
			try("external", ctx, false)
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
	if len(got) != 15 {
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

// A goroutine that a handler starts, and waits for, is told that it waits for itself. What others publish meanwhile is
// not its.
func TestNestedInAGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var a *app
		inner := make(chan error, 1)
		other := make(chan error, 1)
		ready := make(chan struct{})
		a = MustRun(t, bus.Config{}, func(m *bus.Module) {
			m.Emits(asked{}, answered{}).ForOutside(answered{})
			bus.On(m, "asks", func(context.Context, asked) (bus.Events, error) {
				close(ready)
				child := make(chan error)
				go func() {
					_, err := a.m.Publish(context.Background(), answered{"inner", 1})
					child <- err
				}()
				inner <- <-child
				return nil, nil
			})
		})
		go func() {
			<-ready
			_, err := a.m.Publish(t.Context(), answered{"other", 1})
			other <- err
		}()
		start := time.Now()
		a.publish(t, asked{"a", 1})
		if err := <-inner; !errors.Is(err, bus.ErrNested) {
			t.Errorf("the handler's goroutine: %v", err)
		}
		if err := <-other; err != nil {
			t.Errorf("somebody else: %v", err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("it took %v", took)
		}
		wantStrings(t, "outcomes", a.outcomes(t, "test/asks"), "done/1")
		wantStrings(t, "events", a.strings(t, "SELECT key FROM events ORDER BY key"), "a", "other")
	})
}

// What work that is cut off has queued is not carried out after it.
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
					_, err := a.m.Publish(context.Background(), answered{"inner", 1})
					inner <- err
				}()
				<-never
				return nil, nil
			}).Timeout(10 * time.Millisecond)
		})
		a.publish(t, asked{"a", 1})
		if err := <-inner; !errors.Is(err, bus.ErrNested) {
			t.Errorf("its goroutine: %v", err)
		}
		wantStrings(t, "outcomes", a.outcomes(t, "test/hangs"), "dead/1")
		wantStrings(t, "events", a.strings(t, "SELECT key FROM events"), "a")
	})
}
