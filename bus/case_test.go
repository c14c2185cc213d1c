package bus_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/wire/wiretest"
)

// noted returns a handler that notes the events of a type under name.
func noted[E interface {
	bus.Event
	numbered
}](name string) func(context.Context, E) (bus.Events, error) {
	return func(ctx context.Context, e E) (bus.Events, error) {
		return nil, note(ctx, name, e.EventType(), e.number())
	}
}

type numbered interface{ number() int }

func (e asked) number() int    { return e.N }
func (e answered) number() int { return e.N }

// leftOpen opens and closes 1,000 accounts, each in one call of Publish, and returns how many accounts stay open.
func leftOpen(t *testing.T, inOrder bool) int {
	t.Helper()
	const accounts = 1000
	open := bus.Of(func(ctx context.Context, e asked) (bus.Events, error) { return nil, note(ctx, "open", e.Key, e.N) })
	shut := bus.Of(func(ctx context.Context, e answered) (bus.Events, error) {
		_, err := bus.Tx(ctx).ExecContext(ctx, "DELETE FROM test_seen WHERE key = ?", e.Key)
		return nil, err
	})
	a := MustRun(t, bus.Config{}, func(m *bus.Module) {
		m.Emits(asked{}, answered{})
		if inOrder {
			bus.OnEach(m, "account", open, shut)
			return
		}
		bus.OnEach(m, "open", open).AnyOrder()
		bus.OnEach(m, "close", shut)
	})
	for i := range accounts {
		key := fmt.Sprint(i)
		if _, err := a.m.Publish(t.Context(), asked{key, i}, answered{key, i}); err != nil {
			t.Fatal(err)
		}
	}
	a.wait(t)
	answers := 0
	for _, name := range []string{"account", "open", "close"} {
		answers += len(a.outcomes(t, "test/"+name))
	}
	if answers != 2*accounts {
		t.Errorf("%d answers, want %d", answers, 2*accounts)
	}
	return len(a.seen(t, "open"))
}

// Events of one key reach a handler of both types in their order: no closed account is open. Two handlers have no
// order, and leave some open.
func TestOnEachKeepsTheOrderOfTwoTypes(t *testing.T) {
	t.Parallel()
	if n := leftOpen(t, true); n > 0 {
		t.Errorf("%d closed accounts are open", n)
	}
	n := 0
	for round := 0; n == 0 && round < 20; round++ {
		n = leftOpen(t, false)
	}
	if n == 0 {
		t.Error("two handlers leave no account open: the accounts prove nothing")
	}
	t.Logf("two handlers leave %d accounts open", n)
}

// All refinements of a handler hold for every case, and those of a case for that one.
func TestOnEachRefinements(t *testing.T) {
	t.Parallel()
	outside := make(chan string, 10)
	called := func(_ context.Context, e asked) (bus.Events, error) {
		outside <- fmt.Sprint("asked ", e.N)
		return bus.Emit(orphan{}), nil
	}
	a := MustRun(t, bus.Config{}, func(m *bus.Module) {
		m.Emits(asked{}, answered{}, orphan{}).ForOutside(orphan{})
		bus.OnEach(m, "odd",
			bus.Of(noted[asked]("odd")).When(func(e asked) bool { return e.N%2 == 1 }),
			bus.Of(noted[answered]("odd"))).AnyOrder().
			When(func(e bus.Event) bool { return e.EventKey() == "a" })
		bus.OnEach(m, "parked",
			bus.Of(func(context.Context, asked) (bus.Events, error) { return nil, bus.Dead(errPlanned) }),
			bus.Of(noted[answered]("parked"))).ParkKey()
		bus.OnEach(m, "retried",
			bus.Of(func(context.Context, asked) (bus.Events, error) { return nil, errPlanned }),
			bus.Of(noted[answered]("retried"))).Retry(bus.Retry{First: 1, Attempts: 2}).AnyOrder()
		bus.OnEach(m, "called",
			bus.Of(called),
			bus.Of(func(_ context.Context, e answered) (bus.Events, error) {
				outside <- fmt.Sprint("answered ", e.N)
				return nil, nil
			})).External(2).Emits(orphan{}).AnyOrder()
	})
	a.publish(t, asked{"a", 1}, asked{"a", 2}, answered{"a", 3}, asked{"b", 1})
	wantStrings(t, "filters", a.outcomes(t, "test/odd"), "done/1", "skipped/1", "done/1", "skipped/1")
	wantStrings(t, "handled", a.seen(t, "odd"), "test.asked:1", "test.answered:3")
	wantStrings(t, "parked", a.outcomes(t, "test/parked"), "dead/1", "blocked/0", "blocked/0", "dead/1")
	wantStrings(t, "retried", a.outcomes(t, "test/retried"), "dead/2", "dead/2", "done/1", "dead/2")
	got := []string{}
	for range 4 {
		if c := <-outside; c != "asked 1" { // of either key
			got = append(got, c)
		}
	}
	wantStrings(t, "outside", got, "asked 2", "answered 3")
	w := a.Wiring().Subscriptions[0]
	if len(w.Consumes) != 2 || w.Consumes[0] != "test.answered" || w.Consumes[1] != "test.asked" {
		t.Errorf("test/called consumes %q", w.Consumes)
	}
}

func TestOnEachMistakes(t *testing.T) {
	t.Parallel()
	for want, wire := range map[string]func(m *bus.Module){
		`subscription "test/x" has no case`:                   func(m *bus.Module) { bus.OnEach(m, "x") },
		`subscription "test/x" has two cases of "test.asked"`: func(m *bus.Module) { bus.OnEach(m, "x", bus.Of(ignore[asked]), bus.Of(ignore[asked])) },
		`subscription "test/x" takes *bus_test.asked`:         func(m *bus.Module) { bus.OnEach(m, "x", bus.Of(ignore[*asked])) },
		`subscription "test/x" has no handler`:                func(m *bus.Module) { bus.OnEach(m, "x", bus.Of[asked](nil)) },
		`subscription "test/x": When(nil)`:                    func(m *bus.Module) { bus.OnEach(m, "x", bus.Of(ignore[asked]).When(nil)) },
		`subscription "test/x" consumes "test.answered", which no module declares to emit`: func(m *bus.Module) {
			bus.OnEach(m, "x", bus.Of(ignore[asked]), bus.Of(ignore[answered]))
		},
	} {
		err := mistaken(func(m *bus.Module) { wire(m.Emits(asked{})) })
		if !errors.Is(err, bus.ErrWiring) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "bus/case_test.go:") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Two handlers of a module on types of one emitter are a mistake, unless one of them is right in any order.
func TestCheckReportsAnOrderThatIsNotThere(t *testing.T) {
	t.Parallel()
	wire := func(h func(*bus.Handler[answered])) error {
		return mistaken(func(m *bus.Module) {
			m.Emits(asked{}, answered{}, orphan{})
			bus.On(m, "ask", ignore[asked])
			h(bus.On(m, "answer", ignore[answered]))
			bus.On(m, "orphan", ignore[orphan]) // orphan has no key
		})
	}
	err := wire(func(*bus.Handler[answered]) {})
	if want := `subscriptions test/answer, test/ask get events of module test with one key in no order: ` +
		`if the order matters, handle the types in one OnEach, else mark handlers with AnyOrder`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := wire(func(h *bus.Handler[answered]) { h.AnyOrder() }); err != nil {
		t.Error(err)
	}
}

// One handler on types of two modules keeps their order as long as all run in one process.
func TestCheckReportsAnOrderThatAWireLoses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		modules  string
		anyOrder bool
		torn     bool
	}{{"desk bank mail", false, false}, {"desk", false, true}, {"desk bank", false, true}, {"bank mail", false, false}, {"desk", true, false}} {
		b := bus.New(nil, bus.Config{Modules: strings.Fields(c.modules), Transport: wiretest.NewBroker().Transport("here")})
		b.Module("bank").Emits(asked{})
		b.Module("mail").Emits(answered{})
		h := bus.OnEach(b.Module("desk"), "each", bus.Of(ignore[asked]), bus.Of(ignore[answered]))
		if c.anyOrder {
			h.AnyOrder()
		}
		err := b.Check()
		want := `subscription "desk/each" gets events with one key in no order, because modules bank, mail run in different processes`
		if torn := err != nil && strings.Contains(err.Error(), want); torn != c.torn || err != nil && !torn {
			t.Errorf("%s here: got %v", c.modules, err)
		}
	}
}

// Over a wire, the events of one key stay in order across the types of their module.
func TestOnEachOverAWire(t *testing.T) {
	t.Parallel()
	broker := wiretest.NewBroker()
	var numbers []int // of one key, so that one handler runs at a time
	all := make(chan bool)
	arrived := func(e interface {
		bus.Event
		numbered
	}) (bus.Events, error) {
		if numbers = append(numbers, e.number()); len(numbers) == 100 {
			close(all)
		}
		return nil, nil
	}
	start := func(name string) *app {
		carrier := broker.Transport(name)
		t.Cleanup(func() { _ = carrier.Close() })
		return MustStart(t, filepath.Join(t.TempDir(), name), bus.Config{Modules: []string{name}, Transport: carrier}, func(b *bus.Bus) *bus.Module {
			bus.OnEach(b.Module("other"), "each",
				bus.Of(func(_ context.Context, e asked) (bus.Events, error) { return arrived(e) }),
				bus.Of(func(_ context.Context, e answered) (bus.Events, error) { return arrived(e) })).External(4)
			return b.Module("test").Emits(asked{}, answered{})
		})
	}
	here, _ := start("test"), start("other")
	for i := range 50 {
		here.publish(t, asked{"a", 2 * i}, answered{"a", 2*i + 1})
	}
	<-all
	for i, n := range numbers {
		if n != i {
			t.Fatalf("event %d is %d", i, n)
		}
	}
}
