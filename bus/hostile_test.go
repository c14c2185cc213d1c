package bus_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// explosive panics when it is decoded.
type explosive struct{}

func (explosive) EventType() string            { return "test.explosive" }
func (explosive) EventKey() string             { return "" }
func (*explosive) UnmarshalJSON([]byte) error  { panic("in decoding") }
func (explosive) MarshalJSON() ([]byte, error) { return []byte(`{}`), nil }

// The events' own methods are users' code, too: their panics end a reaction, never the process.
func TestPanicsAroundTheHandler(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{Retry: fast}, func(m *bus.Module) {
		m.Emits(asked{}, explosive{}).ForOutside(answered{})
		bus.On(m, "decode", func(context.Context, explosive) (bus.Events, error) { return nil, nil })
		bus.On(m, "encode", func(ctx context.Context, e asked) (bus.Events, error) {
			var none *answered
			return bus.Emit(none), note(ctx, "encode", e.Key, e.N)
		}).Emits(answered{})
	})
	a.publish(t, explosive{}, asked{"a", 1})
	wantStrings(t, "rows", a.seen(t, "encode"))
	got := a.strings(t, "SELECT error FROM dead_letters ORDER BY seq")
	if len(got) != 2 || !strings.Contains(got[0], "panic: in decoding") || !strings.Contains(got[1], "nil *answered pointer") {
		t.Errorf("dead letters: %q", got)
	}
}

// A middleware's deadline cannot make a delivery stuck.
func TestMiddlewareThatCancels(t *testing.T) {
	t.Parallel()
	cancelled := func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			ctx, cancel := context.WithCancel(m.Context())
			cancel()
			m.SetContext(ctx)
			return next(m)
		}
	}
	a := MustRun(t, bus.Config{Retry: fast, Middleware: []message.HandlerMiddleware{cancelled}}, func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "work", func(ctx context.Context, e asked) (bus.Events, error) { return nil, note(ctx, "work", e.Key, e.N) })
	})
	a.publish(t, asked{"a", 1})
	wantStrings(t, "rows", a.seen(t, "work"), "a:1")
}

// A replay that falls between the opening of the journal and the start of the bus is heard once.
func TestReplayBeforeRun(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	var sick atomic.Bool
	var calls atomic.Int32
	wire := func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "work", func(context.Context, asked) (bus.Events, error) {
			calls.Add(1)
			if sick.Load() {
				return nil, bus.Dead(errPlanned)
			}
			return nil, nil
		}).External(1)
	}
	sick.Store(true)
	a := MustRunOn(t, path, bus.Config{}, wire)
	a.publish(t, asked{"", 1})
	a.stop()
	sick.Store(false)
	calls.Store(0)
	a = MustRunOn(t, path, bus.Config{}, func(m *bus.Module) {
		if _, err := sqlite.Replay(t.Context(), path, sqlite.Act{}); err != nil { // the journal is open, the bus is not wired yet
			t.Fatal(err)
		}
		wire(m)
	})
	db, err := sql.Open("sqlite3", path+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), "INSERT INTO events (id, type, time, correlation_id, data) VALUES ('m', 'test.marker', 0, 'm', x'')"); err != nil {
		t.Fatal(err)
	}
	noticed := errors.New("noticed") // and with it every act before
	if err := a.j.Follow(t.Context(), 0, func(*journal.Event) error { return noticed }, "test.marker"); !errors.Is(err, noticed) {
		t.Fatal(err)
	}
	a.wait(t)
	if calls.Load() != 1 {
		t.Errorf("the outside was called %d times", calls.Load())
	}
}

// A key whose call takes long, with a thousand events behind it, holds up no other key; its own come in order afterwards.
func TestSlowKeyHoldsUpOnlyItself(t *testing.T) {
	t.Parallel()
	const behind, others = 1000, 50
	release := make(chan struct{})
	var done atomic.Int32
	all := make(chan struct{})
	a := MustRun(t, bus.Config{}, func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "call", func(_ context.Context, e asked) (bus.Events, error) {
			if e.Key == "slow" {
				<-release
			} else if done.Add(1) == others {
				close(all)
			}
			return bus.Emit().Also(func(ctx context.Context) error { return note(ctx, e.Key, e.Key, e.N) }), nil
		}).External(2)
	})
	var events []bus.Event
	var want []string
	for i := range behind {
		events = append(events, asked{"slow", i})
		want = append(want, fmt.Sprint("slow:", i))
	}
	for i := range others {
		events = append(events, asked{fmt.Sprint("k", i), i})
	}
	if _, err := a.m.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
	select {
	case <-all:
	case <-time.After(15 * time.Second):
		t.Errorf("%d of %d others are done while one key is slow", done.Load(), others)
	}
	close(release)
	a.wait(t)
	wantStrings(t, "order", a.seen(t, "slow"), want...)
}
