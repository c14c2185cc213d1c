package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/troupebus/troupe/bus"
)

// Events that encoding/json cannot carry as they are.
type (
	hidden struct {
		N    int
		note string
	}
	piped struct {
		Deep []struct{ C chan int }
	}
	keyed   struct{ M map[float64]string }
	excused struct {
		At    time.Time
		cache string `json:"-"`
		Self  *excused
	}
	pointed struct{ N int }
)

func (hidden) EventType() string   { return "test.hidden" }
func (h hidden) EventKey() string  { return h.note }
func (piped) EventType() string    { return "test.piped" }
func (piped) EventKey() string     { return "" }
func (keyed) EventType() string    { return "test.keyed" }
func (keyed) EventKey() string     { return "" }
func (excused) EventType() string  { return "test.excused" }
func (e excused) EventKey() string { return e.cache }
func (pointed) EventType() string  { return "test.pointed" }
func (pointed) EventKey() string   { return "" }

// mistaken wires one module, and returns what Check says of it.
func mistaken(wire func(m *bus.Module)) error {
	b := bus.New(nil, bus.Config{})
	wire(b.Module("test"))
	return b.Check()
}

func TestNoMistake(t *testing.T) {
	t.Parallel()
	if err := mistaken(func(m *bus.Module) {
		m.Emits(excused{}, &pointed{}).ForOutside(excused{}, pointed{}).Migrations(fstest.MapFS{"a/1.sql": {}, "a/README": {}})
	}); err != nil {
		t.Error(err)
	}
}

func TestRunWithoutAJournal(t *testing.T) {
	t.Parallel()
	if err := bus.New(nil, bus.Config{}).Run(t.Context()); !errors.Is(err, bus.ErrWiring) {
		t.Errorf("Run without a journal: %v", err)
	}
}

// Timeout counts in whatever order the handler is refined.
func TestTimeoutBeforeExternal(t *testing.T) {
	t.Parallel()
	left := make(chan time.Duration, 1)
	a := MustRun(t, bus.Config{}, func(m *bus.Module) {
		bus.On(m.Emits(asked{}), "x", func(ctx context.Context, _ asked) (bus.Events, error) {
			end, _ := ctx.Deadline()
			left <- time.Until(end)
			return nil, nil
		}).Timeout(time.Hour).External(1)
	})
	a.publish(t, asked{"a", 1})
	if got := <-left; got < 30*time.Minute {
		t.Errorf("the call has %v, want an hour", got)
	}
}

// What cannot be delayed as it was meant is an error to the one who asks.
func TestDelaysWithoutMeaning(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{}, func(m *bus.Module) { m.Emits(asked{}).ForOutside(asked{}) })
	far := time.Date(2600, 1, 1, 0, 0, 0, 0, time.UTC)
	for want, e := range map[string]bus.Event{
		"After(1h0m0s, After(…) or At(…)): delay the event once":                bus.After(time.Hour, bus.After(time.Hour, asked{"a", 1})),
		"After(876000h0m0s, test.asked): the longest delay is 87600h0m0s":       bus.After(100*365*24*time.Hour, asked{"a", 1}),
		"After(1h0m0s, nil): want an event":                                     bus.After(time.Hour, nil),
		"At(2600-01-01T00:00:00Z, After(…) or At(…)): delay the event once":     bus.At(far, bus.At(far, asked{"a", 1})),
		"At(2600-01-01T00:00:00Z, test.asked): the longest delay is 87600h0m0s": bus.At(far, asked{"a", 1}),
		`the name "A b" of a delayed event: want lower case letters`:            bus.After(time.Hour, asked{"a", 1}).Named("A b"),
		`the name "" of a delayed event: want lower case letters`:               bus.Cancel("", "a"),
		"bus.cancel): want an event of a module":                                bus.After(time.Hour, bus.Cancel("a", "b")),
		"At(2600-01-01T00:00:00Z, nil): want an event":                          bus.At(far, nil),
	} {
		if _, err := a.m.Publish(t.Context(), e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// fickle has another name for each value.
type fickle struct{ Name string }

func (f fickle) EventType() string { return "test.fickle" + f.Name }
func (fickle) EventKey() string    { return "" }

func TestEventTypeThatVaries(t *testing.T) {
	t.Parallel()
	a := MustRun(t, bus.Config{}, func(m *bus.Module) { m.Emits(fickle{}).ForOutside(fickle{}) })
	_, err := a.m.Publish(t.Context(), fickle{"2"})
	if !errors.Is(err, bus.ErrUndeclared) || !strings.Contains(err.Error(), "return the same for every value") {
		t.Errorf("Publish: %v", err)
	}
}

// A schedule that can never run is a mistake in the wiring, with its line.
func TestScheduleMistakes(t *testing.T) {
	t.Parallel()
	b := bus.New(nil, bus.Config{})
	m := b.Module("test")
	never := func(time.Time) bus.Event { return nil }
	bus.On(m, "taken", func(context.Context, asked) (bus.Events, error) { return nil, nil })
	m.Every("Bad name", "1h", never).Emits(asked{})
	m.Every("taken", "1h", never).Emits(asked{})
	m.Every("silent", "1h", never)
	m.Every("empty", "1h", nil).Emits(asked{})
	m.Every("far", "0 0 30 2 *", never).Emits(asked{})
	if s := b.Wiring().Program("p", "1").Schedules; len(s) != 5 || fmt.Sprint(s[1]) != "{test/empty 1h [test.asked]}" {
		t.Errorf("the program's schedules are %v", s)
	}
	err := fmt.Sprint(b.Check())
	for _, want := range []string{
		`schedule "test/Bad name": a name has lower case letters`, `schedule "test/taken" has the name of another`,
		`schedule "test/silent" emits no event: add the event to Emits`, `schedule "test/empty" has no function`,
		`schedule "test/far": "0 0 30 2 *" is never due within five years`,
	} {
		if i := strings.Index(err, want); i < 0 || !strings.HasSuffix(err[:i], ": ") || !strings.Contains(err[max(0, i-40):i], "wiring_check_test.go:") {
			t.Errorf("%v\nwant the line and %q", err, want)
		}
	}
}
