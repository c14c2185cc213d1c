package bus_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

func TestExternalHandler(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var keys []string
	a := MustRun(t, bus.Config{Retry: fast}, func(m *bus.Module) {
		m.Emits(asked{}).ForOutside(answered{})
		bus.On(m, "call", func(ctx context.Context, e asked) (bus.Events, error) {
			if err := bus.Commit(ctx, func(ctx context.Context) error { return note(ctx, "begun", e.Key, e.N) }); err != nil {
				return nil, err
			}
			mu.Lock()
			keys = append(keys, bus.Delivery(ctx).ID)
			first := len(keys) == 1
			mu.Unlock()
			if first {
				return nil, errPlanned
			}
			return bus.Emit(answered(e)).Also(func(ctx context.Context) error { return note(ctx, "answer", e.Key, e.N) }), nil
		}).Emits(answered{}).External(4)
	})
	a.publish(t, asked{"a", 1})
	wantStrings(t, "begun", a.seen(t, "begun"), "a:1", "a:1")
	wantStrings(t, "answers", a.seen(t, "answer"), "a:1")
	wantStrings(t, "deliveries", a.outcomes(t, "test/call"), "done/2")
	if len(keys) != 2 || keys[0] != keys[1] || !strings.HasPrefix(keys[0], "test/call:") {
		t.Errorf("idempotency keys: %v", keys)
	}
}

func TestExternalHandlerMisused(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{}, func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "tx", func(ctx context.Context, e asked) (bus.Events, error) {
			return nil, note(ctx, "tx", e.Key, e.N)
		}).External(1).Retry(bus.Retry{Attempts: -1})
		bus.On(m, "nested", func(ctx context.Context, _ asked) (bus.Events, error) {
			return nil, bus.Dead(bus.Commit(ctx, func(context.Context) error { return nil }))
		})
	})
	a.publish(t, asked{"a", 1})
	got := a.strings(t, "SELECT error FROM dead_letters ORDER BY error")
	if len(got) != 2 || !strings.Contains(got[0], "has a transaction already") || !strings.Contains(got[1], "Tx without a transaction") {
		t.Errorf("dead letters: %q", got)
	}
}

// Events of one key never run at once, those of different keys do, and never more than asked for.
func TestExternalParallelism(t *testing.T) {
	t.Parallel()
	var running, most atomic.Int32
	var mu sync.Mutex
	open := map[string]bool{}
	both := make(chan struct{})
	a := MustRun(t, bus.Config{}, func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "call", func(_ context.Context, e asked) (bus.Events, error) {
			mu.Lock()
			if open[e.Key] {
				mu.Unlock()
				return nil, bus.Dead(fmt.Errorf("key %s runs twice at once", e.Key))
			}
			open[e.Key] = true
			mu.Unlock()
			if n := running.Add(1); n > most.Load() {
				if most.Store(n); n == 2 {
					close(both)
				}
			}
			<-both
			running.Add(-1)
			mu.Lock()
			open[e.Key] = false
			mu.Unlock()
			return nil, nil
		}).External(2)
	})
	var events []bus.Event
	for i := range 40 {
		events = append(events, asked{fmt.Sprint("k", i%4), i})
	}
	a.publish(t, events...)
	if most.Load() != 2 {
		t.Errorf("%d ran at once, want 2", most.Load())
	}
	wantStrings(t, "outcomes", a.strings(t, "SELECT outcome || ' ' || count(*) FROM deliveries GROUP BY outcome"), "done 40")
}

func TestExternalHandlerThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		var calls atomic.Int32
		a := MustRun(t, bus.Config{Retry: fast}, func(m *bus.Module) {
			m.Emits(asked{})
			bus.On(m, "deaf", func(context.Context, asked) (bus.Events, error) {
				if calls.Add(1) == 1 {
					<-release // does not listen to its context
				}
				return nil, nil
			}).External(1).Timeout(20 * time.Millisecond)
			bus.On(m, "polite", func(ctx context.Context, e asked) (bus.Events, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}).External(1).Timeout(20 * time.Millisecond).Retry(bus.Retry{Attempts: -1})
		})
		a.publish(t, asked{"a", 1})
		wantStrings(t, "deaf", a.outcomes(t, "test/deaf"), "done/2")
		wantStrings(t, "polite", a.outcomes(t, "test/polite"), "dead/1")
	})
}

func TestDelayedEventSurvivesRestart(t *testing.T) {
	t.Parallel()
	const month = 30 * 24 * time.Hour
	sys := bustest.System[*bus.Module]{Open: sqlitetest.Open, Wire: func(b *bus.Bus, _ *bustest.World) *bus.Module {
		m := b.Module("test").Emits(asked{}).Migrations(tables)
		bus.On(m, "first", func(_ context.Context, e asked) (bus.Events, error) {
			return bus.Emit(bus.After(month, answered(e))), nil
		}).Emits(answered{})
		bus.On(m, "later", func(ctx context.Context, e answered) (bus.Events, error) {
			return nil, note(ctx, "later", e.Key, e.N)
		})
		return m
	}}
	bustest.Run(t, sys, func(app *bustest.App[*bus.Module]) {
		app.Must("publish", func(ctx context.Context, m *bus.Module) error {
			_, err := m.Publish(bus.Correlate(ctx, "flow"), asked{"a", 1})
			return err
		})
		app.Quiet()
		app.Restart()
		app.Advance(month - time.Second)
		app.Flow("flow").Never(answered{})
		app.Crash()
		app.Advance(2 * time.Second)
		app.Flow("flow").Causes(asked{"a", 1}, answered{"a", 1}).Outcome("test/later", journal.Done)
	})
}

// At shutdown what runs is finished and recorded; what cannot finish is done by the next process, under the same id.
func TestShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "j.db")
		var ids sync.Map
		started := make(chan struct{}, 2)
		finish := make(chan struct{})
		first := true
		wire := func(m *bus.Module) {
			stuck := first
			m.Emits(asked{})
			bus.On(m, "call", func(ctx context.Context, e asked) (bus.Events, error) {
				id := bus.Delivery(ctx).ID
				if !stuck {
					_, again := ids.Load(id)
					return bus.Emit().Also(func(ctx context.Context) error { return note(ctx, "second", e.Key, map[bool]int{true: 1}[again]) }), nil
				}
				ids.Store(id, true)
				started <- struct{}{}
				if e.Key == "finishes" {
					<-finish
					return bus.Emit().Also(func(ctx context.Context) error { return note(ctx, "first", e.Key, e.N) }), nil
				}
				<-ctx.Done()
				return nil, ctx.Err()
			}).External(2)
		}
		a := MustRunOn(t, path, bus.Config{ShutdownTimeout: 100 * time.Millisecond}, wire)
		if _, err := a.m.Publish(t.Context(), asked{"finishes", 1}, asked{"stuck", 1}); err != nil {
			t.Fatal(err)
		}
		<-started
		<-started
		close(finish)
		a.stop()
		if _, err := a.m.Publish(t.Context(), asked{"late", 1}); !errors.Is(err, bus.ErrNotRunning) {
			t.Errorf("Publish after the end: %v", err)
		}
		first = false
		a = MustRunOn(t, path, bus.Config{}, wire)
		a.wait(t)
		wantStrings(t, "finished in time", a.seen(t, "first"), "finishes:1")
		wantStrings(t, "called again", a.seen(t, "second"), "stuck:1")
	})
}

// Reactions that wait for the transaction of another one do not begin after the shutdown has: the next process runs them.
func TestShutdownStartsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "j.db")
		var runs atomic.Int32
		finish := make(chan struct{})
		wire := func(m *bus.Module) {
			m.Emits(asked{})
			for _, name := range []string{"one", "two", "three"} {
				bus.On(m, name, func(context.Context, asked) (bus.Events, error) {
					runs.Add(1)
					<-finish
					return nil, nil
				})
			}
		}
		a := MustRunOn(t, path, bus.Config{}, wire)
		if _, err := a.m.Publish(t.Context(), asked{"a", 1}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		stopped := make(chan struct{})
		go func() { defer close(stopped); a.stop() }()
		synctest.Wait()
		close(finish)
		<-stopped
		if runs.Load() != 1 {
			t.Errorf("%d reactions have run, want the one that was running", runs.Load())
		}
		a = MustRunOn(t, path, bus.Config{}, wire)
		a.wait(t)
		if runs.Load() != 3 {
			t.Errorf("%d reactions have run in the end, want 3", runs.Load())
		}
	})
}

func TestMiddlewareLosesNothing(t *testing.T) {
	t.Parallel()
	swallow := func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			switch key := m.Metadata.Get("ce_subject"); key {
			case "swallowed":
				return nil, nil
			case "failed":
				return nil, errPlanned
			case "panicked":
				panic("in the middleware")
			default:
				return next(m)
			}
		}
	}
	a := MustRun(t, bus.Config{Retry: fast, Middleware: []message.HandlerMiddleware{swallow}}, func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "work", func(ctx context.Context, e asked) (bus.Events, error) { return nil, note(ctx, "work", e.Key, e.N) })
	})
	a.publish(t, asked{"swallowed", 1}, asked{"failed", 1}, asked{"panicked", 1}, asked{"passed", 1})
	wantStrings(t, "rows", a.seen(t, "work"), "passed:1")
	wantStrings(t, "deliveries", a.outcomes(t, "test/work"), "dropped/1", "dead/3", "dead/3", "done/1")
}

// Whatever another program wrote into the journal becomes a dead letter with its bytes, and holds up nobody.
func TestUnreadableEvents(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{}, func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "work", func(ctx context.Context, e asked) (bus.Events, error) { return nil, note(ctx, "work", e.Key, e.N) })
	})
	huge := append(append([]byte(`{"key":"huge","n":1,"more":"`), make([]byte, 10<<20)...), `"}`...)
	for i := range huge {
		if huge[i] == 0 {
			huge[i] = 'x'
		}
	}
	type payload struct {
		topic, id string
		data      []byte
		why       string
	}
	payloads := []payload{
		{"test.asked", "empty", nil, "unexpected end of JSON input"},
		{"test.asked", "huge", huge, "the limit is 1048576"},
		{"test.asked", "json", []byte(`{"key":`), "unexpected end of JSON input"},
		{"test.asked", "type", []byte(`{"key":"k","n":"one"}`), "cannot unmarshal string"},
		{"test.asked", "utf8", []byte("{\"key\":\"\xff\",\"n\":1}"), "not valid UTF-8"},
		{"test.never", "unknown", []byte(`{}`), `unknown event type "test.never"`},
		{"test.asked", "good", []byte(`{"key":"good","n":1}`), ""},
	}
	for _, p := range payloads {
		if err := a.j.Publisher().Publish(p.topic, message.NewMessage(p.id, p.data)); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite3", a.path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	const newer = `INSERT INTO events (id, type, version, time, correlation_id, data) VALUES ('newer', 'test.asked', 9, 0, 'newer', CAST('{"n":1}' AS BLOB))`
	if _, err := db.ExecContext(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	payloads = append(payloads, payload{"test.asked", "newer", []byte(`{"n":1}`), "unknown version 9 of test.asked: this program knows version 1"})
	noticed := errors.New("noticed")
	if err := a.j.Follow(t.Context(), int64(len(payloads)-1), func(*journal.Event) error { return noticed }); !errors.Is(err, noticed) {
		t.Fatal(err)
	}
	a.wait(t)
	wantStrings(t, "rows", a.seen(t, "work"), "good:1")
	for _, p := range payloads {
		got := a.strings(t, "SELECT d.error FROM dead_letters d JOIN events e USING (seq) WHERE e.id = ? AND e.data = ?", p.id, append([]byte{}, p.data...))
		if (p.why == "") != (len(got) == 0) || p.why != "" && !strings.Contains(got[0], p.why) {
			t.Errorf("%s: dead letters %q, want %q", p.id, got, p.why)
		}
	}
}
