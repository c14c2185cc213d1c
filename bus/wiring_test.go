package bus_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/transports/sqlite"
)

// claimant claims the name that belongs to asked.
type claimant struct{}

func (claimant) EventType() string { return "test.asked" }
func (claimant) EventKey() string  { return "" }

type orphan struct{}

func (orphan) EventType() string { return "test.orphan" }
func (orphan) EventKey() string  { return "" }

type nameless struct{}

func (nameless) EventType() string { return "" }
func (nameless) EventKey() string  { return "" }

func ignore[E bus.Event](context.Context, E) (bus.Events, error) { return nil, nil }

func TestWiringMistakesAreAllReported(t *testing.T) {
	t.Parallel()
	j, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "j.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	b := bus.New(j, bus.Config{MaxHops: -1})
	one, two := b.Module("one").Emits(asked{}), b.Module("two").Emits(asked{})
	b.Module("two")
	b.Module("Not A Name")
	bus.On(one, "twice", ignore[asked])
	bus.On(one, "twice", ignore[asked])
	bus.On(one, "claims", ignore[claimant])
	bus.On(two, "unfed", ignore[orphan])
	bus.On(two, "UPPER", ignore[asked])
	bus.On(two, "nobody", ignore[asked]).Emits(answered{})
	bus.On(two, "external", ignore[asked]).External(0)
	bus.On(two, "policy", ignore[asked]).Retry(bus.Retry{Attempts: -7}).Timeout(-1)
	bus.On[asked](two, "nil", nil)
	bus.On(two, "nameless", ignore[nameless])
	err = b.Run(t.Context())
	if !errors.Is(err, bus.ErrWiring) {
		t.Fatalf("Run: %v", err)
	}
	for _, want := range []string{
		"MaxHops is -1",
		`module "two" is wired twice`,
		`module "Not A Name"`,
		`subscription "one/twice" is used twice`,
		`event type "test.asked" is claimed by bus_test.asked and by bus_test.claimant`,
		`event type "test.asked" is emitted by module one and by module two`,
		`subscription "two/unfed" consumes "test.orphan", which no module declares to emit`,
		`subscription "two/UPPER"`,
		`event type "test.answered", emitted by module two, has no consumer`,
		`External(0)`,
		`Retry.Attempts is -7`,
		`Timeout(-1ns)`,
		`subscription "two/nil" has no handler`,
		`empty EventType`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not reported: %s", want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestNothingBeforeRun(t *testing.T) {
	t.Parallel()
	j, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "j.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	m := bus.New(j, bus.Config{}).Module("test").Emits(asked{})
	if _, err := m.Publish(t.Context(), asked{"a", 1}); !errors.Is(err, bus.ErrNotRunning) {
		t.Errorf("Publish before Run: %v", err)
	}
}

// What is wired while the bus runs would never run.
func TestNothingIsWiredAfterRun(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{}, func(m *bus.Module) { m.Emits(asked{}).ForOutside(asked{}) })
	for what, wire := range map[string]func(){
		`module "late"`:            func() { a.Module("late") },
		`subscription "test/late"`: func() { bus.On(a.m, "late", ignore[asked]) },
	} {
		func() {
			defer func() {
				if said, _ := recover().(string); !strings.Contains(said, what+" is wired after the call of Run") {
					t.Errorf("%s: %q", what, said)
				}
			}()
			wire()
		}()
	}
}

func TestDoIsOneCommit(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{}, func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "work", func(ctx context.Context, e asked) (bus.Events, error) { return nil, note(ctx, "work", e.Key, e.N) })
	})
	do := func(fn func(context.Context) (bus.Events, error)) error {
		_, err := a.m.Do(t.Context(), fn)
		return err
	}
	emit := func(ctx context.Context) (bus.Events, error) {
		return bus.Emit(asked{"a", 1}), note(ctx, "do", "a", 1)
	}
	if err := do(emit); err != nil {
		t.Fatal(err)
	}
	if err := do(func(ctx context.Context) (bus.Events, error) {
		out, err := emit(ctx)
		return out, errors.Join(err, errPlanned)
	}); !errors.Is(err, errPlanned) {
		t.Errorf("error of the work: %v", err)
	}
	if err := do(func(ctx context.Context) (bus.Events, error) {
		if err := note(ctx, "do", "panic", 1); err != nil {
			return nil, err
		}
		panic("boom")
	}); err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("panic of the work: %v", err)
	}
	if err := do(func(ctx context.Context) (bus.Events, error) {
		_, err := a.m.Do(ctx, emit)
		return nil, err
	}); !errors.Is(err, bus.ErrNested) {
		t.Errorf("nested: %v", err)
	}
	if err := do(func(context.Context) (bus.Events, error) { return bus.Emit(orphan{}), nil }); !errors.Is(err, bus.ErrUndeclared) {
		t.Errorf("undeclared: %v", err)
	}
	if err := do(func(context.Context) (bus.Events, error) { return bus.Emit(asked{strings.Repeat("x", 2<<20), 1}), nil }); !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	a.wait(t)
	wantStrings(t, "rows of the work", a.seen(t, "do"), "a:1")
	wantStrings(t, "rows of the handler", a.seen(t, "work"), "a:1")
}

// A module that reaches for another's table is refused by the database.
func TestFence(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{}, func(m *bus.Module) {
		m.Emits(asked{})
		bus.On(m, "pry", func(ctx context.Context, e asked) (bus.Events, error) {
			query := map[string]string{
				"read": "DELETE FROM test_seen WHERE n = (SELECT count(*) FROM subscriptions)", "write": "UPDATE events SET key = ''",
				"drop": "DROP TABLE deliveries", "attach": "ATTACH ':memory:' AS other",
			}[e.Key]
			_, err := bus.Tx(ctx).ExecContext(ctx, query)
			return nil, bus.Dead(err)
		})
	})
	a.publish(t, asked{"read", 1}, asked{"write", 1}, asked{"drop", 1}, asked{"attach", 1})
	for i, got := range a.strings(t, "SELECT error FROM dead_letters ORDER BY seq") {
		if !strings.Contains(got, "prohibited") && !strings.Contains(got, "not authorized") {
			t.Errorf("%d: %s", i, got)
		}
	}
	wantStrings(t, "dead letters", a.strings(t, "SELECT count(*) FROM dead_letters"), "4")
}
