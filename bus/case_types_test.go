package bus_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire/wiretest"
	"github.com/troupebus/troupe/transports/sqlite"
)

// A handler that gains a type goes on where it was, and handles the older events of the type, or skips them.
func TestAHandlerGainsAType(t *testing.T) {
	t.Parallel()
	wire := func(m *bus.Module, also func(*bus.Case[answered]) *bus.Case[answered], all func(*bus.Handler[bus.Event]) *bus.Handler[bus.Event]) {
		m.Emits(asked{}, answered{}).ForOutside(answered{})
		if also == nil {
			bus.On(m, "x", noted[asked]("x"))
			return
		}
		all(bus.OnEach(m, "x", bus.Of(noted[asked]("x")), also(bus.Of(noted[answered]("x")))))
	}
	for name, c := range map[string]struct {
		also     func(*bus.Case[answered]) *bus.Case[answered]
		all      func(*bus.Handler[bus.Event]) *bus.Handler[bus.Event]
		outcomes []string
		seen     []string
	}{
		"handled":        {asIs[*bus.Case[answered]], asIs[*bus.Handler[bus.Event]], []string{"done/1", "done/1", "done/1", "done/1"}, []string{"test.asked:1", "test.answered:2", "test.answered:3", "test.asked:4"}},
		"skipped":        {(*bus.Case[answered]).FromNow, asIs[*bus.Handler[bus.Event]], []string{"done/1", "skipped/0", "done/1", "done/1"}, []string{"test.asked:1", "test.answered:3", "test.asked:4"}},
		"skipped by all": {asIs[*bus.Case[answered]], (*bus.Handler[bus.Event]).FromNow, []string{"done/1", "skipped/0", "done/1", "done/1"}, []string{"test.asked:1", "test.answered:3", "test.asked:4"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "j.db")
			a := MustRunOn(t, path, bus.Config{}, func(m *bus.Module) { wire(m, nil, nil) })
			a.publish(t, asked{"a", 1}, answered{"a", 2})
			a.stop()
			for range 2 { // a second start changes nothing
				a = MustRunOn(t, path, bus.Config{}, func(m *bus.Module) { wire(m, c.also, c.all) })
				a.wait(t)
				a.stop()
			}
			a = MustRunOn(t, path, bus.Config{}, func(m *bus.Module) { wire(m, c.also, c.all) })
			a.publish(t, answered{"a", 3}, asked{"a", 4})
			wantStrings(t, "outcomes", a.outcomes(t, "test/x"), c.outcomes...)
			wantStrings(t, "handled", a.seen(t, "x"), c.seen...)
			if wrong, err := a.j.Reader().Check(t.Context()); err != nil || len(wrong) > 0 {
				t.Error(wrong, err)
			}
		})
	}
}

func asIs[T any](x T) T { return x }

// Over a wire, older events of the gained type may come after the gain: their time decides.
func TestAHandlerGainsATypeFromElsewhere(t *testing.T) {
	t.Parallel()
	broker := wiretest.NewBroker()
	path := filepath.Join(t.TempDir(), "other.db")
	wire := func(b *bus.Bus, gained bool) *bus.Module {
		other := b.Module("other")
		if gained {
			bus.OnEach(other, "x", bus.Of(ignore[asked]), bus.Of(ignore[answered]).FromNow())
		} else {
			bus.On(other, "x", ignore[asked])
		}
		return b.Module("test").Emits(asked{}, answered{}).ForOutside(answered{})
	}
	carrier := broker.Transport("test")
	t.Cleanup(func() { _ = carrier.Close() })
	here := MustStart(t, filepath.Join(t.TempDir(), "test.db"), bus.Config{Modules: []string{"test"}, Transport: carrier},
		func(b *bus.Bus) *bus.Module { return wire(b, true) })
	here.publish(t, asked{"a", 1}, answered{"a", 2})
	for _, gained := range []bool{false, true} {
		carrier := broker.Transport("other")
		there := MustStart(t, path, bus.Config{Modules: []string{"other"}, Transport: carrier}, func(b *bus.Bus) *bus.Module { return wire(b, gained) })
		want := []string{"done/1"}
		if gained {
			here.publish(t, answered{"a", 3})
			want = []string{"done/1", "skipped/1", "done/1"}
		}
		until(t, "all arrive", func() bool { return len(there.outcomes(t, "other/x")) == len(want) })
		wantStrings(t, "outcomes", there.outcomes(t, "other/x"), want...)
		there.stop()
		if err := carrier.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// The open events of a type that a handler loses become dead letters, which a program with the type can replay.
func TestAHandlerLosesAType(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	broken := true
	with := func(m *bus.Module) {
		m.Emits(asked{}, answered{})
		bus.OnEach(m, "x",
			bus.Of(func(ctx context.Context, e asked) (bus.Events, error) {
				if broken {
					return nil, errPlanned
				}
				return nil, note(ctx, "x", e.EventType(), e.N)
			}),
			bus.Of(noted[answered]("x"))).Retry(bus.Retry{First: 1 << 40})
	}
	without := func(m *bus.Module) {
		m.Emits(asked{}, answered{}).ForOutside(asked{})
		bus.OnEach(m, "x", bus.Of(noted[answered]("x")))
	}
	a := MustRunOn(t, path, bus.Config{}, with)
	if _, err := a.m.Publish(t.Context(), asked{"a", 1}, answered{"a", 2}, asked{"a", 3}); err != nil {
		t.Fatal(err)
	}
	until(t, "two wait", func() bool { return a.j.Backlog().Blocked == 2 })
	a.stop()
	broken = false
	a = MustRunOn(t, path, bus.Config{}, without)
	a.publish(t, asked{"a", 4})
	wantStrings(t, "outcomes", a.outcomes(t, "test/x"), "dead/1", "done/1", "dead/0")
	wantDead := func(text string) {
		t.Helper()
		letters, err := a.j.Reader().DeadLetters(t.Context(), sqlite.DeadLetterFilter{Status: journal.LetterDead})
		if err != nil || len(letters) != 2 || letters[0].Error != text || letters[1].Error != text {
			t.Errorf("dead letters: %+v, %v", letters, err)
		}
		if wrong, err := a.j.Reader().Check(t.Context()); err != nil || len(wrong) > 0 {
			t.Error(wrong, err)
		}
	}
	wantDead("the subscription no longer consumes the type: replay with a program that does, or drop")
	replay := func(wire func(*bus.Module)) {
		t.Helper()
		a.stop()
		if _, err := sqlite.Replay(t.Context(), path, sqlite.Act{}); err != nil {
			t.Fatal(err)
		}
		a = MustRunOn(t, path, bus.Config{}, wire)
		a.wait(t)
	}
	replay(without) // too early
	wantDead(`subscription "test/x" handles no "test.asked" any more: replay with a program that does, or drop the dead letter`)
	replay(with)
	wantStrings(t, "outcomes", a.outcomes(t, "test/x"), "done/1", "done/1", "done/1", "done/1")
}
