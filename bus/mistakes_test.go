package bus_test

import (
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/troupebus/troupe/bus"
)

// The tests of the files mistakes_*_test.go are a table of typical mistakes: the wrong program, and the text that the
// author of the program reads. The text says which line is wrong and what to write instead.
//
//   - The compiler finds those of TestCompilerMistakes.
//   - Bus.Check, and so Run, finds those of TestWiringMistakes, with file and line, and all at once.
//   - The call, or the dead letter of the event, tells those of TestMistakesOfCalls and TestMistakesOfHandlers.
//   - Tests with package bustest find those of bustest/mistakes_test.go: order, crashes, memory, clocks, randomness.
//   - troupe vet finds emissions that are thrown away, the clock and randomness in handlers, and package variables.
//
// Two remain: a number in a field of type any arrives as float64, and a mistake in Config has a field and no line.

// misnamed claims the type of another event, and unnamed has no type.
type (
	misnamed struct{}
	unnamed  struct{}
)

func (misnamed) EventType() string { return "test.asked" }
func (misnamed) EventKey() string  { return "" }
func (unnamed) EventType() string  { return "" }
func (unnamed) EventKey() string   { return "" }

// wiringMistakes are wrong wirings of a module called test, and what Check says after the line.
var wiringMistakes = map[string]struct {
	wire func(b *bus.Bus, m *bus.Module)
	want string
}{
	"a handler of a pointer": {func(b *bus.Bus, m *bus.Module) { bus.On(m.Emits(asked{}), "x", ignore[*asked]) },
		`subscription "test/x" takes *bus_test.asked: a handler takes the struct of the event, neither a pointer nor an interface`},
	"a handler of every event": {func(b *bus.Bus, m *bus.Module) { bus.On(m, "x", ignore[bus.Event]) },
		`subscription "test/x" takes bus.Event: a handler takes the struct of the event, neither a pointer nor an interface; OnEach takes several types`},
	"no handler": {func(b *bus.Bus, m *bus.Module) { bus.On[asked](m.Emits(asked{}), "x", nil) },
		`subscription "test/x" has no handler: pass a function`},
	"a nil filter": {func(b *bus.Bus, m *bus.Module) { bus.On(m.Emits(asked{}), "x", ignore[asked]).When(nil) },
		`subscription "test/x": When(nil): want a function`},
	"a nil filter of a case": {func(b *bus.Bus, m *bus.Module) { bus.OnEach(m.Emits(asked{}), "x", bus.Of(ignore[asked]).When(nil)) },
		`subscription "test/x": When(nil): want a function`},
	"no case": {func(b *bus.Bus, m *bus.Module) { bus.OnEach(m, "x") },
		`subscription "test/x" has no case: want at least one Of`},
	"two cases of a type": {func(b *bus.Bus, m *bus.Module) {
		bus.OnEach(m.Emits(asked{}), "x", bus.Of(ignore[asked]), bus.Of(ignore[asked]))
	},
		`subscription "test/x" has two cases of "test.asked"`},
	"a pattern of no type": {func(b *bus.Bus, m *bus.Module) { bus.OnAll(m, "x", ignore[bus.Raw], "ordr.*") },
		`subscription "test/x": no module emits an event type like ["ordr.*"]`},
	"two types in two handlers": {func(b *bus.Bus, m *bus.Module) {
		bus.On(m.Emits(asked{}, answered{}), "x", ignore[asked])
		bus.On(m, "y", ignore[answered])
	}, `subscriptions test/x, test/y get events of module test with one key in no order: if the order matters, handle the types in one OnEach, else mark handlers with AnyOrder`},
	"a name in capitals": {func(b *bus.Bus, m *bus.Module) { bus.On(m.Emits(asked{}), "SendMail", ignore[asked]) },
		`subscription "test/SendMail": a name has lower case letters and digits, with single dashes or underscores between`},
	"one name for two handlers": {func(b *bus.Bus, m *bus.Module) {
		bus.On(m.Emits(asked{}), "x", ignore[asked])
		bus.On(m, "x", ignore[asked])
	}, `subscription "test/x" is used twice: give each handler of a module a name of its own`},
	"one name for two modules": {func(b *bus.Bus, m *bus.Module) { b.Module("test") },
		`module "test" is wired twice: pass on the result of the first call`},
	"an event that nobody emits": {func(b *bus.Bus, m *bus.Module) { bus.On(m, "x", ignore[asked]) },
		`subscription "test/x" consumes "test.asked", which no module declares to emit: add the event to Emits`},
	"an event that nobody consumes": {func(b *bus.Bus, m *bus.Module) { m.Emits(asked{}) },
		`event type "test.asked", emitted by module test, has no consumer: if intended, mark the event with ForOutside`},
	"an event of two modules": {func(b *bus.Bus, m *bus.Module) { m.Emits(asked{}); b.Module("other").Emits(asked{}) },
		`event type "test.asked" is emitted by module test and by module other: a fact has one source`},
	"two events of one name": {func(b *bus.Bus, m *bus.Module) { m.Emits(asked{}, misnamed{}) },
		`event type "test.asked" is claimed by bus_test.asked and by bus_test.misnamed: one name, one type`},
	"an event without a name": {func(b *bus.Bus, m *bus.Module) { m.Emits(unnamed{}) },
		`bus_test.unnamed has an empty EventType: return a name, such as order.placed`},
	"a nil event":   {func(b *bus.Bus, m *bus.Module) { m.Emits(nil) }, `a nil event is declared: pass a value of the event's type`},
	"a nil pointer": {func(b *bus.Bus, m *bus.Module) { m.Emits((*asked)(nil)) }, `a nil *bus_test.asked is declared: declare bus_test.asked{}`},
	"outside alone": {func(b *bus.Bus, m *bus.Module) { m.ForOutside(asked{}) },
		`module test marks "test.asked" with ForOutside, but does not emit the event: add the event to Emits`},
	"an unexported field": {func(b *bus.Bus, m *bus.Module) { m.Emits(hidden{}) },
		"event type \"test.hidden\": hidden.note is unexported, so JSON would omit the field: export the field, or tag the field `json:\"-\"`"},
	"a channel": {func(b *bus.Bus, m *bus.Module) { m.Emits(piped{}) },
		`event type "test.piped": piped.Deep.C is a chan int, which JSON cannot encode: remove the field from the event`},
	"a map of floats": {func(b *bus.Bus, m *bus.Module) { m.Emits(keyed{}) },
		`event type "test.keyed": keyed.M is a map with keys of float64: JSON has strings and whole numbers only`},
	"no call at a time": {func(b *bus.Bus, m *bus.Module) { bus.On(m.Emits(asked{}), "x", ignore[asked]).External(0) },
		`subscription "test/x": External(0): want 1 or more`},
	"no time": {func(b *bus.Bus, m *bus.Module) { bus.On(m.Emits(asked{}), "x", ignore[asked]).Timeout(0) },
		`subscription "test/x": Timeout(0s): want more than 0`},
	"no attempt": {func(b *bus.Bus, m *bus.Module) {
		bus.On(m.Emits(asked{}), "x", ignore[asked]).Retry(bus.Retry{Attempts: -7})
	},
		`subscription "test/x": Retry.Attempts is -7: want 1 or more, 0 for the default, -1 for a single attempt`},
	"an endless pause": {func(b *bus.Bus, m *bus.Module) {
		bus.On(m.Emits(asked{}), "x", ignore[asked]).Retry(bus.Retry{Max: math.MaxInt64})
	}, "want no more than 87600h0m0s"},
	"its own name before": {func(b *bus.Bus, m *bus.Module) { bus.On(m.Emits(asked{}), "x", ignore[asked]).Was("x") },
		`subscription "test/x": Was("x"): want an earlier name, without the module`},
	"a name of another": {func(b *bus.Bus, m *bus.Module) {
		bus.On(m.Emits(asked{}), "x", ignore[asked]).Was("y")
		bus.On(m, "y", ignore[asked])
	}, `subscription "test/x": Handler.Was has "test/y", which is a name of subscription "test/y", too: give each subscription names of its own`},
	"two beginnings": {func(b *bus.Bus, m *bus.Module) {
		bus.On(m.Emits(asked{}), "x", ignore[asked]).External(1).FromNow().FromStart()
	},
		`subscription "test/x": FromNow and FromStart exclude each other: choose one`},
	"calls once more": {func(b *bus.Bus, m *bus.Module) { bus.On(m.Emits(asked{}), "x", ignore[asked]).External(1).Rebuild(2) },
		`subscription "test/x": Handler.Rebuild would repeat the calls to the outside: leave it out`},
	"run no. 0": {func(b *bus.Bus, m *bus.Module) { bus.On(m.Emits(asked{}), "x", ignore[asked]).Rebuild(0) },
		`subscription "test/x": Rebuild(0): want 1 or more`},
	"a schedule of no time": {func(b *bus.Bus, m *bus.Module) { m.Every("x", "nightly", today).Emits(asked{}) },
		`schedule "test/x": "nightly" is neither a duration (15m) nor a cron specification (minute hour day month weekday)`},
	"a schedule of nothing": {func(b *bus.Bus, m *bus.Module) { m.Every("x", "1h", today) },
		`schedule "test/x" emits no event: add the event to Emits`},
	"a schedule without a function": {func(b *bus.Bus, m *bus.Module) { m.Every("x", "1h", nil).Emits(asked{}) },
		`schedule "test/x" has no function: pass one that returns the event`},
	"a deep migration": {func(b *bus.Bus, m *bus.Module) { m.Migrations(fstest.MapFS{"a/b/1.sql": {}}) },
		"migrations of module test: a/b/1.sql would not be applied: put all .sql files at the top of the file system, or all one folder below"},
	"two folders": {func(b *bus.Bus, m *bus.Module) { m.Migrations(fstest.MapFS{"1.sql": {}, "a/2.sql": {}}) },
		"migrations of module test: a/2.sql would not be applied: put all .sql files at the top"},
	"no migration": {func(b *bus.Bus, m *bus.Module) { m.Migrations(fstest.MapFS{"README": {}}) },
		"migrations of module test: no .sql file at the top of the file system, or one folder below"},
}

func today(time.Time) bus.Event { return asked{"a", 1} }

// line is the place of a mistake in the wiring.
var line = regexp.MustCompile(`(?m)^bus/mistakes_test\.go:\d+: `)

func TestWiringMistakes(t *testing.T) {
	t.Parallel()
	for name, c := range wiringMistakes {
		b := bus.New(nil, bus.Config{})
		c.wire(b, b.Module("test"))
		err := b.Check()
		if !errors.Is(err, bus.ErrWiring) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		at := strings.Index(err.Error(), c.want)
		if at < 0 {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		} else if before := err.Error()[:at]; !line.MatchString(before[strings.LastIndex(before, "\n")+1:]) {
			t.Errorf("%s: the line is not named: %v", name, err)
		}
	}
}
