package bus_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/wire/wiretest"
)

// audited notes events as they are stored.
func audited(name string) func(context.Context, bus.Raw) (bus.Events, error) {
	return func(ctx context.Context, e bus.Raw) (bus.Events, error) {
		return bus.Emit(orphan{}), note(ctx, name, e.Source+" "+e.Type+" "+e.Key+" "+string(e.Data), e.Version)
	}
}

// An audit gets every event of the program, but its own, and those of a type that the program gains.
func TestOnAll(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	start := func(types ...bus.Event) *app {
		return MustRunOn(t, path, bus.Config{}, func(m *bus.Module) {
			m.Emits(types...).ForOutside(types...).ForOutside(orphan{})
			bus.OnAll(m, "all", audited("all")).Emits(orphan{})
			bus.OnAll(m, "some", audited("some"), "test.ans*", "none").Emits(orphan{}).When(func(e bus.Raw) bool { return e.Key != "b" })
			bus.On(m, "same", ignore[asked])
		})
	}
	a := MustRunOn(t, path, bus.Config{}, func(m *bus.Module) {
		m.Emits(asked{}).ForOutside(orphan{})
		bus.OnAll(m, "all", audited("all")).Emits(orphan{})
		bus.On(m, "same", ignore[asked])
	})
	a.publish(t, asked{"a", 1})
	a.stop()
	a = start(asked{}, answered{})
	a.publish(t, answered{"a", 2}, answered{"b", 3}, asked{"a", 4})
	wantStrings(t, "all", a.strings(t, "SELECT key FROM test_seen WHERE name = 'all' AND key LIKE '% a %' ORDER BY rowid"),
		`test test.asked a {"key":"a","n":1}`, `test test.answered a {"key":"a","n":2}`, `test test.asked a {"key":"a","n":4}`)
	wantStrings(t, "some", a.seen(t, "some"), `test test.answered a {"key":"a","n":2}:1`)
	wantStrings(t, "outcomes", a.outcomes(t, "test/some"), "done/1", "skipped/1")
}

// A handler of all events reads the topics of all modules, and is no consumer in the eyes of Check.
func TestOnAllInTheWiring(t *testing.T) {
	t.Parallel()
	for want, wire := range map[string]func(m *bus.Module){
		`event type "test.asked", emitted by module test, has no consumer`:      func(m *bus.Module) { bus.OnAll(m, "x", audited("x")) },
		`subscription "test/x": no module emits an event type like ["other.*"]`: func(m *bus.Module) { bus.OnAll(m, "x", audited("x"), "other.*") },
		`subscription "test/x": pattern "[": syntax error in pattern`:           func(m *bus.Module) { bus.OnAll(m, "x", audited("x"), "[") },
		`subscription "test/x" has no handler`:                                  func(m *bus.Module) { bus.OnAll(m, "x", nil) },
	} {
		err := mistaken(func(m *bus.Module) { wire(m.Emits(asked{})) })
		if !errors.Is(err, bus.ErrWiring) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	broker := wiretest.NewBroker()
	got := make(chan bus.Raw, 1)
	start := func(name string) *app {
		carrier := broker.Transport(name)
		t.Cleanup(func() { _ = carrier.Close() })
		return MustStart(t, filepath.Join(t.TempDir(), name), bus.Config{Modules: []string{name}, Transport: carrier}, func(b *bus.Bus) *bus.Module {
			bus.OnAll(b.Module("audit"), "all", func(_ context.Context, e bus.Raw) (bus.Events, error) {
				got <- e
				return nil, nil
			}).External(1)
			return b.Module("test").Emits(asked{}).ForOutside(asked{})
		})
	}
	here, _ := start("test"), start("audit")
	here.publish(t, asked{"a", 1})
	if e := <-got; e.Type != "test.asked" || e.Source != "test" || string(e.Data) != `{"key":"a","n":1}` {
		t.Errorf("got %+v", e)
	}
}
