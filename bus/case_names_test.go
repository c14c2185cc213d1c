package bus_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/troupebus/troupe/bus"
)

// A run from the start begins with each type where the subscription did.
func TestRebuildOfAHandlerThatGainedAType(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	a := MustRunOn(t, path, bus.Config{}, func(m *bus.Module) {
		m.Emits(asked{}, answered{}).ForOutside(answered{})
		bus.On(m, "x", noted[asked]("x"))
	})
	a.publish(t, asked{"a", 1}, answered{"a", 2})
	with := func(rebuild int) {
		t.Helper()
		a.stop()
		a = MustRunOn(t, path, bus.Config{}, func(m *bus.Module) {
			m.Emits(asked{}, answered{})
			h := bus.OnEach(m, "x", bus.Of(noted[asked]("x")), bus.Of(noted[answered]("x")).FromNow())
			if rebuild > 0 {
				h.Rebuild(rebuild)
			}
		})
	}
	with(0)
	a.publish(t, answered{"a", 3})
	for version := range 3 {
		with(version)
		a.wait(t)
		wantStrings(t, "outcomes", a.outcomes(t, "test/x"), "done/1", "skipped/0", "done/1")
	}
	wantStrings(t, "handled", a.seen(t, "x"), "test.asked:1", "test.answered:3", "test.asked:1", "test.answered:3", "test.asked:1", "test.answered:3")
	if wrong, err := a.j.Reader().Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Error(wrong, err)
	}
}

// A new handler has its names and its number of Rebuild from the first start on, also with a case that has FromNow.
func TestNamesOfANewHandlerWithACaseFromNow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	for range 2 {
		a := MustRunOn(t, path, bus.Config{}, func(m *bus.Module) {
			m.Emits(asked{}, answered{}).ForOutside(answered{})
			bus.OnEach(m, "x", bus.Of(noted[asked]("x")), bus.Of(noted[answered]("x")).FromNow()).Was("first").Rebuild(7)
		})
		var was string
		var version, rebuilds int
		err := a.j.View(t.Context(), func(tx *sql.Tx) error {
			return tx.QueryRow("SELECT was, version, rebuilds FROM subscriptions WHERE name = 'test/x'").Scan(&was, &version, &rebuilds)
		})
		if err != nil || was != `["test/first"]` || version != 7 || rebuilds != 0 {
			t.Errorf("earlier names %s, version %d, %d runs from the start, %v", was, version, rebuilds, err)
		}
		a.stop()
	}
}

// A type that a handler loses, and gains again without FromNow, begins with its oldest event.
func TestAHandlerGainsATypeAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	for _, c := range []struct {
		also  []*bus.Case[answered]
		start int // of types from now on
	}{
		{nil, 0}, {[]*bus.Case[answered]{bus.Of(ignore[answered]).FromNow()}, 1}, {nil, 0},
		{[]*bus.Case[answered]{bus.Of(ignore[answered])}, 0},
	} {
		a := MustRunOn(t, path, bus.Config{}, func(m *bus.Module) {
			m.Emits(asked{}, answered{}).ForOutside(answered{})
			if len(c.also) == 0 {
				bus.OnEach(m, "x", bus.Of(ignore[asked]))
			} else {
				bus.OnEach(m, "x", bus.Of(ignore[asked]), c.also[0])
			}
		})
		starts := -1
		err := a.j.View(t.Context(), func(tx *sql.Tx) error { return tx.QueryRow("SELECT count(*) FROM type_starts").Scan(&starts) })
		if err != nil || starts != c.start {
			t.Errorf("%d types begin later, want %d, %v", starts, c.start, err)
		}
		a.stop()
	}
}
