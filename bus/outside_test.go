package bus_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// refusing is a journal that cannot write for a while.
type refusing struct {
	*sqlite.Journal
	until   time.Time
	refused atomic.Int32
}

func (r *refusing) refuses() bool { return time.Now().Before(r.until) }

func (r *refusing) React(ctx context.Context, d *journal.Delivery, w journal.Work,
	run func(journal.TxFunc) journal.Verdict,
) error {
	if r.refuses() {
		r.refused.Add(1)
		return fmt.Errorf("%w: the disk is full", journal.ErrUnavailable)
	}
	return r.Journal.React(ctx, d, w, run)
}

func (r *refusing) Writable(ctx context.Context) error {
	select {
	case <-time.After(time.Until(r.until)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// startRefusing runs a bus on a journal that refuses for as long as hold says, from the first call of the outside on.
func startRefusing(t *testing.T, hold time.Duration, handle func(context.Context, asked) (bus.Events, error)) (
	*bus.Module, *refusing,
) {
	j, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "journal.db"), sqlite.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	r := &refusing{Journal: j}
	b := bus.New(r, bus.Config{Logger: quiet})
	m := b.Module("test").Migrations(tables).Emits(asked{})
	bus.On(m, "call", func(ctx context.Context, e asked) (bus.Events, error) {
		if r.until.IsZero() {
			r.until = time.Now().Add(hold)
		}
		return handle(ctx, e)
	}).External(1)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	<-b.Running()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, j.Close()); err != nil {
			t.Error(err)
		}
	})
	return m, r
}

// While the journal cannot record an answer, it is kept, and nobody else calls the outside.
func TestAnswerIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		m, r := startRefusing(t, time.Minute, func(context.Context, asked) (bus.Events, error) {
			calls.Add(1)
			return nil, nil
		})
		if _, err := m.Publish(t.Context(), asked{"a", 1}, asked{"b", 1}, asked{"c", 1}); err != nil {
			t.Fatal(err)
		}
		<-time.After(50 * time.Second)
		if calls.Load() != 1 || r.Backlog().InFlight != 1 {
			t.Errorf("%d calls, %+v", calls.Load(), r.Backlog())
		}
		if n := r.refused.Load(); n < 5 || n > 60 {
			t.Errorf("it was tried %d times to record the answer", n)
		}
		if err := r.Quiet(t.Context()); err != nil {
			t.Fatal(err)
		}
		if calls.Load() != 3 {
			t.Errorf("%d calls of 3", calls.Load())
		}
	})
}

// An answer that could not be recorded by the end of the bus leaves the delivery to the next one.
func TestAnswerIsKeptUntilTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := startRefusing(t, 24*time.Hour, func(context.Context, asked) (bus.Events, error) { return nil, nil })
		if _, err := m.Publish(t.Context(), asked{"a", 1}, asked{"b", 1}); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		if b := r.Backlog(); b.InFlight != 1 || b.Ready != 1 {
			t.Errorf("%+v", b)
		}
	})
}

// Calls that ignore their context are left behind, up to as many again as may run at once. Then the subscription stands
// still until one of them returns.
func TestDeafCallsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running, most, calls atomic.Int32
		release := make(chan struct{})
		everySecond := bus.Retry{First: time.Second, Max: time.Second, Attempts: 100}
		a := MustRun(t, bus.Config{Retry: everySecond}, func(m *bus.Module) {
			m.Emits(asked{})
			bus.On(m, "deaf", func(context.Context, asked) (bus.Events, error) {
				calls.Add(1)
				most.Store(max(most.Load(), running.Add(1)))
				defer running.Add(-1)
				<-release
				return nil, nil
			}).External(2).Timeout(time.Second)
		})
		if _, err := a.m.Publish(t.Context(), asked{"a", 1}, asked{"b", 1}, asked{"c", 1}); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		if most.Load() != 4 || calls.Load() != 4 {
			t.Errorf("%d ran at once, of %d calls; want 4 of 4", most.Load(), calls.Load())
		}
		close(release)
		a.wait(t)
		wantStrings(t, "done", a.strings(t, "SELECT count(*) FROM deliveries WHERE outcome = 'done'"), "3")
	})
}

// A call that was given up, or has returned, can commit nothing any more.
func TestCallThatIsOverCannotCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		release := make(chan struct{})
		late := make(chan error, 2)
		a := MustRun(t, bus.Config{Retry: fast}, func(m *bus.Module) {
			m.Emits(asked{})
			bus.On(m, "call", func(ctx context.Context, e asked) (bus.Events, error) {
				commit := func() {
					<-release
					late <- bus.Commit(context.WithoutCancel(ctx), func(ctx context.Context) error {
						return note(ctx, "late", e.Key, e.N)
					})
				}
				if calls.Add(1) == 1 {
					commit()
				} else {
					go commit()
				}
				return nil, nil
			}).External(1).Timeout(time.Second)
		})
		a.publish(t, asked{"a", 1})
		wantStrings(t, "outcomes", a.outcomes(t, "test/call"), "done/2")
		close(release)
		for range 2 {
			if err := <-late; !errors.Is(err, journal.ErrAbandoned) {
				t.Error(err)
			}
		}
		wantStrings(t, "rows", a.seen(t, "late"))
	})
}

// What an external handler does wrong in Also is an attempt of its own.
func TestOwnFaultOfAlso(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	a := MustRun(t, bus.Config{Retry: bus.Retry{First: time.Millisecond, Attempts: 3}}, func(m *bus.Module) {
		m.Migrations(faultTables).Emits(asked{})
		bus.On(m, "call", func(context.Context, asked) (bus.Events, error) {
			calls.Add(1)
			return bus.Emit().Also(func(ctx context.Context) error {
				_, err := bus.Tx(ctx).Exec("INSERT INTO test_children VALUES (77)")
				return err
			}), nil
		}).External(1)
	})
	a.publish(t, asked{"a", 1})
	wantStrings(t, "outcomes", a.outcomes(t, "test/call"), "dead/3")
	if calls.Load() != 3 {
		t.Errorf("%d calls of 3", calls.Load())
	}
}

// The zero fields of Handler.Retry come from the policy of the kind of handler, whatever the order of the calls.
func TestRetryOfExternalHandlers(t *testing.T) {
	t.Parallel()
	once := bus.Retry{Attempts: -1}
	cfg := bus.Config{Retry: bus.Retry{First: time.Millisecond, Attempts: 2}, ExternalRetry: bus.Retry{First: time.Millisecond, Attempts: 3}}
	fail := func(context.Context, asked) (bus.Events, error) { return nil, errPlanned }
	a := MustRun(t, cfg, func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "inside", fail)
		bus.On(m, "inside-jitter", fail).Retry(bus.Retry{Jitter: -1})
		bus.On(m, "outside", fail).External(1)
		bus.On(m, "outside-before", fail).External(1).Retry(bus.Retry{Jitter: -1})
		bus.On(m, "outside-after", fail).Retry(bus.Retry{Jitter: -1}).External(1)
		bus.On(m, "outside-once", fail).Retry(once).External(1)
	})
	a.publish(t, asked{"a", 1})
	for name, want := range map[string]string{
		"inside": "dead/2", "inside-jitter": "dead/2", "outside": "dead/3", "outside-before": "dead/3", "outside-after": "dead/3",
		"outside-once": "dead/1",
	} {
		wantStrings(t, name, a.outcomes(t, "test/"+name), want)
	}
	if err := (bus.Config{ExternalRetry: bus.Retry{Attempts: -2}}).Validate(); err == nil || !strings.Contains(err.Error(), "ExternalRetry: ") {
		t.Errorf("a mistake in ExternalRetry: %v", err)
	}
}
