package bus_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
)

func TestMistakesOfCalls(t *testing.T) {
	t.Parallel()
	var closed *app
	a := MustRun(t, bus.Config{MaxPayload: 100}, func(m *bus.Module) {
		m.Emits(asked{}, fickle{}).ForOutside(asked{}, fickle{})
	})
	publish := func(ctx context.Context, events ...bus.Event) error {
		_, err := a.m.Publish(ctx, events...)
		return err
	}
	do := func(fn func(ctx context.Context) error) error {
		_, err := a.m.Do(t.Context(), func(ctx context.Context) (bus.Events, error) { return nil, fn(ctx) })
		return err
	}
	once := func(n int) error {
		u := bus.Unit{Key: "k", Body: n}
		_, _, err := bus.Do(t.Context(), a.m, u, func(context.Context) (int, bus.Events, error) { return n, nil, nil })
		return err
	}
	for name, c := range map[string]struct {
		call func() error
		is   error
		want string
	}{
		"an event without Emits": {func() error { return publish(t.Context(), answered{"a", 1}) }, bus.ErrUndeclared,
			`bus: undeclared event: test emits "test.answered": add the event to Emits`},
		"a nil event": {func() error { return publish(t.Context(), nil) }, bus.ErrUndeclared,
			"bus: undeclared event: a nil event was emitted: leave it out"},
		"a type that varies": {func() error { return publish(t.Context(), fickle{"2"}) }, bus.ErrUndeclared,
			`EventType of bus_test.fickle returns "test.fickle2" for this value, and "test.fickle" for the declared one: return the same for every value`},
		"a large event": {func() error { return publish(t.Context(), asked{strings.Repeat("a", 200), 1}) }, bus.ErrTooLarge,
			"store the large part elsewhere, and put a reference in the event"},
		"a delay of a delay": {func() error { return publish(t.Context(), bus.After(1, bus.At(time.Now(), asked{}))) }, bus.ErrUndeclared,
			"After(1ns, After(…) or At(…)): delay the event once"},
		"a name for a delay": {func() error { return publish(t.Context(), bus.After(1, asked{}).Named("Reminder 1")) }, bus.ErrUndeclared,
			`the name "Reminder 1" of a delayed event: want lower case letters and digits, with single dashes or underscores between`},
		"a name for metadata": {func() error { return publish(bus.With(t.Context(), "Tenant-ID", "x"), asked{}) }, bus.ErrBadID,
			`"Tenant-ID"`},
		"a flow in two lines": {func() error { return publish(bus.Correlate(t.Context(), "a\nb"), asked{}) }, bus.ErrBadID,
			`correlation id "a\nb"`},
		"another request under a key": {func() error { return errors.Join(once(1), once(2)) }, bus.ErrKeyReused, `"k": choose another key for another request`},
		"Publish in Do": {func() error {
			return do(func(ctx context.Context) error { return publish(ctx, asked{}) })
		}, bus.ErrNested, "bus: nested unit of work: return the events instead"},
		"Publish in Do, with another context": {func() error {
			return do(func(context.Context) error { return publish(context.Background(), asked{}) })
		}, bus.ErrNested, "bus: nested unit of work: return the events instead (the call used another context)"},
		"View in Do": {func() error {
			return do(func(ctx context.Context) error { return a.View(ctx, func(bus.SQL) error { return nil }) })
		}, bus.ErrNested, "a View does not see the writes of this transaction: read through Tx"},
		"a write in View": {func() error {
			return a.View(t.Context(), func(tx bus.SQL) error {
				_, err := tx.Exec("DELETE FROM test_seen")
				return err
			})
		}, nil, "attempt to write a readonly database: a view only reads, write in a unit of work"},
		"COMMIT": {func() error {
			return do(func(ctx context.Context) error {
				_, err := bus.Tx(ctx).Exec("COMMIT")
				return err
			})
		}, nil, "the transaction is the journal's"},
		"another module's table": {func() error {
			return do(func(ctx context.Context) error {
				_, err := bus.Tx(ctx).Exec("DELETE FROM events")
				return err
			})
		}, nil, "the table events is the journal's, which modules may only read: the names of a module's tables begin with the module's name and an underscore"},
		"Tx without work": {func() error { return panicked(func() { bus.Tx(t.Context()) }) }, nil,
			"bus: Tx without a transaction: write in Events.Also or Commit in an external handler, and in Module.Do outside of handlers"},
		"Commit without work": {func() error { return panicked(func() { _ = bus.Commit(t.Context(), nil) }) }, nil,
			"bus: Commit outside of an external handler: use Module.Do"},
		"a handler while the bus runs": {func() error { return panicked(func() { bus.On(a.m, "late", ignore[asked]) }) }, nil,
			`bus: subscription "test/late" is wired after the call of Run: wire everything before Run`},
		"a second Run": {func() error { return a.Run(t.Context()) }, nil, "bus: Run was called twice: make a new Bus for each Run"},
		"Publish before Run": {func() error {
			_, err := bus.New(a.j, bus.Config{}).Module("test").Emits(asked{}).Publish(t.Context(), asked{})
			return err
		}, bus.ErrNotRunning, "bus: not running: call Run, and wait for Running"},
		"Publish after the end": {func() error {
			closed = MustRun(t, bus.Config{}, func(m *bus.Module) { m.Emits(asked{}).ForOutside(asked{}) })
			closed.stop()
			_, err := closed.m.Publish(t.Context(), asked{})
			return err
		}, bus.ErrNotRunning, "bus: not running: the bus is stopping"},
		"no journal": {func() error { return bus.New(nil, bus.Config{}).Run(t.Context()) }, bus.ErrWiring,
			"New was given no journal: open one, see transports/sqlite"},
		"a module that is not wired": {func() error { return bus.New(nil, bus.Config{Modules: []string{"mail"}}).Check() }, bus.ErrWiring,
			`Config.Modules has module "mail", which is not wired: wired are`},
	} {
		if err := c.call(); err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// panicked returns what fn panics with.
func panicked(fn func()) (err error) {
	defer func() { err = fmt.Errorf("%v", recover()) }()
	fn()
	return nil
}

// handlerMistakes are wrong handlers, and what the dead letter of the event says.
var handlerMistakes = map[string]struct {
	handle   func(ctx context.Context, a *app) (bus.Events, error)
	external bool
	want     string
}{
	"an event without Emits": {func(context.Context, *app) (bus.Events, error) { return bus.Emit(answered{"a", 1}), nil }, false,
		`bus: undeclared event: test/work emits "test.answered": add the event to Emits`},
	"Publish": {func(ctx context.Context, a *app) (bus.Events, error) {
		_, err := a.m.Publish(ctx, asked{"b", 1})
		return nil, err
	}, false, "bus: nested unit of work: return the events instead"},
	"Publish with another context": {func(_ context.Context, a *app) (bus.Events, error) {
		_, err := a.m.Publish(context.Background(), asked{"b", 1})
		return nil, err
	}, true, "bus: nested unit of work: return the events instead (the call used another context)"},
	"View": {func(ctx context.Context, a *app) (bus.Events, error) {
		return nil, a.View(ctx, func(bus.SQL) error { return nil })
	}, false, "a View does not see the writes of this transaction: read through Tx"},
	"Tx in an external handler": {func(ctx context.Context, _ *app) (bus.Events, error) {
		return nil, note(ctx, "work", "a", 1)
	}, true, "bus: Tx without a transaction: write in Events.Also or Commit in an external handler"},
	"Commit in a transaction": {func(ctx context.Context, _ *app) (bus.Events, error) {
		return nil, bus.Commit(ctx, func(context.Context) error { return nil })
	}, false, "bus: nested unit of work: the handler has a transaction already: write through Tx"},
	"defer Rollback": {func(ctx context.Context, _ *app) (bus.Events, error) {
		tx := bus.Tx(ctx).(*sql.Tx)
		defer func() { _ = tx.Rollback() }() //troupe:allow rollback the mistake of the test
		return nil, note(ctx, "work", "a", 1)
	}, false, "the transaction is the journal's: return an error to roll back, nothing to commit, and end it in no other way: the work called Tx.Rollback"},
	"a panic": {func(context.Context, *app) (bus.Events, error) {
		panic("no rates")
	}, false, "panic: no rates"},
}

func TestMistakesOfHandlers(t *testing.T) {
	t.Parallel()
	for name, c := range handlerMistakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var a *app
			ready := make(chan struct{})
			a = MustRun(t, bus.Config{Retry: bus.Retry{Attempts: -1}}, func(m *bus.Module) {
				h := bus.On(m.Emits(asked{}), "work", func(ctx context.Context, _ asked) (bus.Events, error) {
					<-ready
					return c.handle(ctx, a)
				})
				if c.external {
					h.External(1)
				}
			})
			close(ready)
			a.publish(t, asked{"a", 1})
			got := a.strings(t, "SELECT error FROM dead_letters")
			if len(got) != 1 || !strings.Contains(got[0], c.want) {
				t.Errorf("dead letters %q, want %s", got, c.want)
			}
		})
	}
}
