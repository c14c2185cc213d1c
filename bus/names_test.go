package bus_test

import (
	"context"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus"
)

// called is the event of these tests.
type called struct {
	Key string `json:"key"`
}

func (called) EventType() string  { return "names.called" }
func (c called) EventKey() string { return c.Key }

func TestMistakesInNames(t *testing.T) {
	t.Parallel()
	on := func(m *bus.Module, name string) *bus.Handler[called] {
		return bus.On(m, name, func(context.Context, called) (bus.Events, error) { return nil, nil })
	}
	for want, wire := range map[string]func(m *bus.Module){
		`"m/b": Handler.Was has "m/a", which is a name of subscription "m/a", too`: func(m *bus.Module) { on(m, "a"); on(m, "b").Was("a") },
		`"m/c": Handler.Was has "m/a", which is a name of subscription "m/b", too`: func(m *bus.Module) { on(m, "b").Was("a"); on(m, "c").Was("a") },
		`"m/b": Was("n/a"): want an earlier name, without the module`:              func(m *bus.Module) { on(m, "b").Was("n/a") },
		`"m/b": Was("b"): want an earlier name`:                                    func(m *bus.Module) { on(m, "b").Was("b") },
		`"m/b": FromNow and FromStart exclude each other`:                          func(m *bus.Module) { on(m, "b").External(1).FromNow().FromStart() },
		`"m/b": Handler.Rebuild would repeat the calls to the outside`:             func(m *bus.Module) { on(m, "b").Rebuild(2).External(1) },
		`"m/b": Rebuild(0): want 1 or more`:                                        func(m *bus.Module) { on(m, "b").Rebuild(0) },
	} {
		b := bus.New(nil, bus.Config{})
		m := b.Module("m").Emits(called{})
		wire(m)
		if err := b.Check(); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "names_test.go:") {
			t.Errorf("Check says %v, want %s", err, want)
		}
	}
}
