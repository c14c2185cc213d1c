package bustest

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/cover"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// The system of these tests: a kitchen that cooks what is ordered, or is out of it, and a courier that takes it away.
type (
	ordered struct{ Dish string }
	cooked  struct{ Dish string }
	soldOut struct{ Dish string }
)

func (ordered) EventType() string  { return "guest.ordered" }
func (e ordered) EventKey() string { return e.Dish }
func (cooked) EventType() string   { return "kitchen.cooked" }
func (e cooked) EventKey() string  { return e.Dish }
func (soldOut) EventType() string  { return "kitchen.sold-out" }
func (e soldOut) EventKey() string { return e.Dish }

// kitchen is the system, with a name before its modules' that sets it apart in what all tests record.
func kitchen(prefix string) System[*bus.Module] {
	return System[*bus.Module]{Open: sqlitetest.Open, Wire: func(b *bus.Bus, w *World) *bus.Module {
		guest := b.Module(prefix + "guest").Emits(ordered{})
		m := b.Module(prefix + "kitchen").ForOutside(soldOut{})
		bus.On(m, "cook", func(_ context.Context, e ordered) (bus.Events, error) {
			switch e.Dish {
			case "lobster":
				return bus.Emit(soldOut(e)), nil
			case "stone":
				return nil, bus.Dead(errors.New("not food"))
			default:
				return bus.Emit(cooked(e)), nil
			}
		}).Emits(cooked{}, soldOut{})
		bus.On(b.Module(prefix+"courier"), "deliver", func(ctx context.Context, e cooked) (bus.Events, error) {
			_, err := Ask(ctx, w.Service("bike"), Request{Op: "ride", Key: bus.Delivery(ctx).ID, Body: e}, func() (string, error) { return "there", nil })
			return nil, err
		}).External(1)
		return guest
	}}
}

func order(app *App[*bus.Module], dishes ...string) {
	for _, dish := range dishes {
		app.Must("order "+dish, func(ctx context.Context, guest *bus.Module) error {
			_, err := guest.Publish(ctx, ordered{dish})
			return err
		})
	}
}

// MustCover runs TestCoverageProcess as a process of its own, which writes its coverage as env and args say.
func MustCover(t *testing.T, does string, env []string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append(args, "-test.run=^TestCoverageProcess$")...)
	cmd.Env = append(append(os.Environ(), "TROUPE_COVER_TEST="+does), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestCoverageProcess does something only where the other tests run it in a process of its own: what is recorded is that of
// a whole process.
func TestCoverageProcess(t *testing.T) {
	flush := func() {
		if err := flushCoverage(); err != nil {
			t.Fatal(err)
		}
	}
	switch os.Getenv("TROUPE_COVER_TEST") {
	case "runs":
		for range 2 {
			Run(t, kitchen(""), func(app *App[*bus.Module]) {
				app.Expect("kitchen/cook")
				order(app, "soup", "pie", "stone")
			})
			flush()
			t.Chdir(t.TempDir()) // what the file is called is meant from where the process began
		}
	case "explorations":
		for prefix, without := range map[string]Part{"all-": 0, "calm-": Crashes | Twice | Troubles} {
			Explore(t, kitchen(prefix), Exploration{Exhaustive: true, Schedules: 1000, Without: without}, func(app *App[*bus.Module]) { order(app, "soup") })
			flush()
		}
	}
}

func TestCoverageOfProcesses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cover.json")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(here, path)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() { MustCover(t, "runs", nil, "-troupe.cover", path) })
	all.Go(func() { MustCover(t, "runs", nil, "-troupe.cover="+relative) })
	all.Go(func() { MustCover(t, "runs", []string{"TROUPE_COVER=" + relative}) })
	all.Wait()
	got, err := cover.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	want := cover.New()
	*want.Of("kitchen/cook") = cover.Subscription{
		Consumes: map[string]map[string]int64{"guest.ordered": {"done": 12, "dead": 6}},
		Emits:    map[string]int64{"kitchen.cooked": 12, "kitchen.sold-out": 0}, Faults: map[cover.Fault]int64{},
	}
	*want.Of("courier/deliver") = cover.Subscription{
		Outside: true, Consumes: map[string]map[string]int64{"kitchen.cooked": {"done": 12}}, Emits: map[string]int64{}, Faults: map[cover.Fault]int64{},
	}
	if !reflect.DeepEqual(got, want) {
		text, _ := os.ReadFile(path)
		t.Errorf("the file is\n%s", text)
	}
	if missing := got.Missing(); len(missing) != 1 || missing[0].Type != "kitchen.sold-out" {
		t.Errorf("missing: %+v", missing)
	}
}

// An exhaustive exploration meets every fault that there is for a subscription.
func TestCoverageOfAnExploration(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cover.json")
	MustCover(t, "explorations", nil, "-troupe.cover", path)
	r, err := cover.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Subscriptions) != 4 || len(r.Missing()) != 2 { // in both, nothing was sold out
		t.Errorf("missing %+v of %v", r.Missing(), slices.Sorted(maps.Keys(r.Subscriptions)))
	}
	for name, s := range r.Subscriptions {
		switch {
		case strings.HasPrefix(name, "all-") && len(s.NeverMet()) > 0:
			t.Errorf("%s never met %v", name, s.NeverMet())
		case strings.HasPrefix(name, "calm-") && len(s.Faults) > 0:
			t.Errorf("%s met %v", name, s.Faults)
		}
	}
}

func TestCoverageIsSafe(t *testing.T) {
	t.Parallel()
	c := &coverage{unwritten: cover.New()}
	path := filepath.Join(t.TempDir(), "cover.json")
	subs := []journal.Subscription{{Name: "a/b", Types: []string{"t"}, Emits: []string{"u"}}, {Name: "bus/unknown", Except: []string{"t"}}}
	const workers, times = 8, 200
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range times {
				c.declare(subs)
				c.react(&journal.Delivery{Event: &journal.Event{Type: "t"}, Subscription: "a/b"},
					&journal.Verdict{Outcome: journal.Done, Emit: []*journal.Event{{Type: "u"}, {Type: "not declared"}}})
				c.react(&journal.Delivery{Event: &journal.Event{Type: "x"}, Subscription: "bus/unknown"}, &journal.Verdict{Outcome: journal.Done})
				c.react(&journal.Delivery{Event: &journal.Event{Type: "t"}, Subscription: "a/b"}, &journal.Verdict{}) // settled before
				c.fault(&step{kind: stepReact, name: "a/b"}, faultTwice)
				c.fault(&step{kind: stepCall, name: "service.op", by: "a/b"}, faultNone)
				if i%20 == 0 {
					if err := c.flush(path); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	if err := errors.Join(c.flush(path), c.flush(path)); err != nil {
		t.Fatal(err)
	}
	got, err := cover.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	want := cover.New()
	*want.Of("a/b") = cover.Subscription{
		Consumes: map[string]map[string]int64{"t": {"done": workers * times}}, Emits: map[string]int64{"u": workers * times},
		Faults: map[cover.Fault]int64{cover.DeliveredTwice: workers * times},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("recorded %+v", got.Subscriptions["a/b"])
	}
}

// What could not be written is not lost.
func TestCoverageThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	c := &coverage{unwritten: cover.New()}
	c.declare([]journal.Subscription{{Name: "a/b", Types: []string{"t"}}})
	c.react(&journal.Delivery{Event: &journal.Event{Type: "t"}, Subscription: "a/b"}, &journal.Verdict{Outcome: journal.Skipped})
	dir := t.TempDir()
	if err := c.flush(filepath.Join(dir, "none", "cover.json")); err == nil {
		t.Fatal("written into no folder")
	}
	path := filepath.Join(dir, "cover.json")
	if err := c.flush(path); err != nil {
		t.Fatal(err)
	}
	got, err := cover.Read(path)
	if err != nil || got.Of("a/b").Consumes["t"]["skipped"] != 1 {
		t.Errorf("%v, %+v", err, got)
	}
}
