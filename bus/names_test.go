package bus_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// called is the event of these tests.
type called struct {
	Key string `json:"key"`
}

func (called) EventType() string  { return "names.called" }
func (c called) EventKey() string { return c.Key }

// answeredCall follows from called.
type answeredCall called

func (answeredCall) EventType() string  { return "names.answered" }
func (c answeredCall) EventKey() string { return c.Key }

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

// office is a program with a subscription that gets another name.
type office struct {
	wrong bool // without Was: the new name calls the outside for all of the past, as it says

	mu      sync.Mutex
	renamed bool
	keys    map[string]map[string]bool // by event, the keys of the calls to the outside
}

// open begins with the first name on a new journal.
func (o *office) open(ctx context.Context, path string) (journal.Store, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		o.set(false)
	}
	return sqlitetest.Open(ctx, path)
}

func (o *office) set(renamed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.renamed = renamed; !renamed {
		o.keys = map[string]map[string]bool{}
	}
}

// call calls the outside, which is busy at first.
func (o *office) call(ctx context.Context, e called) (bus.Events, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	d := bus.Delivery(ctx)
	if o.keys[d.EventID] == nil {
		o.keys[d.EventID] = map[string]bool{}
	}
	o.keys[d.EventID][d.ID] = true
	if d.Attempt == 1 && !o.wrong && e.Key == "1" {
		return nil, bus.RetryAfter(time.Hour, errors.New("busy"))
	}
	return bus.Emit(answeredCall(e)), nil
}

func (o *office) wire(b *bus.Bus, _ *bustest.World) *bus.Module {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := b.Module("m").Emits(called{}).ForOutside(answeredCall{})
	name := map[bool]string{false: "call", true: "ring"}[o.renamed]
	h := bus.On(m, name, o.call).Emits(answeredCall{}).External(2).ParkKey()
	switch {
	case o.renamed && o.wrong:
		h.FromStart()
	case o.renamed:
		h.Was("call")
	}
	return m
}

func (o *office) verify(context.Context, func(string) bus.SQL, *bustest.World) (wrong []string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, keys := range o.keys {
		if len(keys) > 1 {
			wrong = append(wrong, fmt.Sprintf("the outside was called under %d keys for one event", len(keys)))
		}
	}
	return wrong, nil
}

func (o *office) run(app *bustest.App[*bus.Module]) {
	publish := func(keys ...string) {
		for _, key := range keys {
			app.Must("publish", func(ctx context.Context, m *bus.Module) error {
				_, err := m.Publish(bus.Correlate(ctx, key), called{key})
				return err
			})
		}
	}
	publish("1", "0", "1")
	if o.wrong { // a start would refuse to leave open work behind
		app.Quiet()
	}
	o.set(true)
	app.Restart()
	publish("0", "1")
	app.Quiet()
}

// In every schedule, with crashes at every commit, a renamed subscription calls the outside under one key for each event;
// and a rename without Was is found.
func TestARenameCallsTheOutsideUnderOneKey(t *testing.T) {
	t.Parallel()
	for _, wrong := range []bool{false, true} {
		o := &office{wrong: wrong}
		sys := bustest.System[*bus.Module]{Open: o.open, Wire: o.wire, Verify: o.verify}
		found := bustest.Search(t, sys, bustest.Exploration{Schedules: 40}, o.run)
		if (found.Replay != "") != wrong {
			t.Errorf("without Was %t: found %+v", wrong, found)
		}
	}
}
