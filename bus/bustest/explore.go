package bustest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest/internal/bubble"
)

// Exploration configures the exploration of a scenario. The zero value is ready to use.
type Exploration struct {
	// Schedules is the number of schedules. Defaults to 200. An exhaustive exploration ends after the last schedule, and
	// fails if there are more than Schedules, which then defaults to 20,000.
	Schedules int
	// Seed starts the random generator: the same seed gives the same schedules on every machine. Defaults to 1.
	Seed uint64
	// Exhaustive tries every schedule with at most Faults faults once, instead of random schedules.
	Exhaustive bool
	// Faults is the largest number of faults in a schedule. Defaults to 3, and to 1 with Exhaustive; -1 means no faults.
	Faults int
	// Without leaves out parts, for example Crashes|Twice.
	Without Part
	// With adds parts of Optional, for example Groups|Clocks.
	With Part
	// Expect names subscriptions whose dead letters belong to the scenario.
	Expect []string
	// Same describes a final state that must not depend on the schedule. The function tables returns the transaction for
	// the tables of a module. Optional.
	Same func(ctx context.Context, tables func(module string) bus.SQL) (string, error)
	// Zones repeats the test in each of these time zones, such as "America/New_York", in separate processes. There, some
	// schedules begin just before the zone's calendar changes. Search ignores Zones.
	Zones []string
	// Alone is the number of random schedules to repeat when all schedules have passed, each in its own process. State in
	// a package variable survives from schedule to schedule, and shows here as a difference in Same or in the failures.
	// Each schedule takes a tenth of a second.
	Alone int
	// Replay is a single schedule from the line in a failure text. Other schedules do not run.
	Replay string
}

func (x Exploration) withDefaults() Exploration {
	switch {
	case x.Schedules == 0 && x.Exhaustive:
		x.Schedules = 20_000
	case x.Schedules == 0:
		x.Schedules = 200
	}
	if x.Seed == 0 {
		x.Seed = 1
	}
	switch {
	case x.Faults < 0:
		x.Faults = 0
	case x.Faults == 0 && x.Exhaustive:
		x.Faults = 1
	case x.Faults == 0:
		x.Faults = 3
	}
	return x
}

// leftOut returns the parts that do not take place.
func (x Exploration) leftOut() Part { return x.Without | Optional&^x.With }

// budget returns the limit for the faults of a schedule. A replay has no limit except the number of steps.
func (x Exploration) budget() int {
	if x.Replay != "" {
		return maxSteps
	}
	return x.Faults
}

// Found is the result of an exploration.
type Found struct {
	Schedules int      // run up to the first failure, or in total
	Different int      // the number of different schedules
	Wrong     []string // the violations; empty on success
	Story     []string // the shortest known story with the failure
	Replay    string   // for Exploration.Replay
	Trees     string   // the flows of the failed run
	Others    []Found  // other failures in later schedules; always empty for Search

	without, with Part
}

// Explore runs scenario on a new system under many schedules, and fails the test with the shortest story of a failure.
// The scenario acts, and may wait for Quiet or let time pass. The kit itself checks the end of each run. The scenario
// must do the same in each run, and fail with app.T. Several runs of scenario, sys.Wire and sys.Verify happen at the
// same time.
//
// If a scenario fails in several ways, Explore prints up to three different stories.
func Explore[S any](t *testing.T, sys System[S], x Exploration, scenario func(app *App[S])) {
	t.Helper()
	if !x.runZones(t) {
		return
	}
	f := search(t, sys, x, mostStories, scenario)
	if len(f.Wrong) == 0 {
		t.Logf("%d schedules, %d different", f.Schedules, f.Different)
		return
	}
	t.Fatal(f.String())
}

// String returns the story for people.
func (f Found) String() string {
	var b strings.Builder
	if f.Replay == "" { // no single schedule failed
		return strings.Join(f.Wrong, "\n")
	}
	fmt.Fprintf(&b, "broken by schedule %d:\n", f.Schedules)
	for i, line := range f.Story {
		fmt.Fprintf(&b, "  %d. %s\n", i+1, line)
	}
	if len(f.Story) == 0 {
		b.WriteString("  all steps happen in order, and no step fails\n")
	}
	b.WriteString("then:\n")
	for _, w := range f.Wrong {
		fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(w, "\n", "\n  "))
	}
	fmt.Fprintf(&b, "again: bustest.Exploration{Replay: %q", f.Replay)
	if f.without != 0 {
		fmt.Fprintf(&b, ", Without: %#x", uint(f.without))
	}
	if f.with != 0 {
		fmt.Fprintf(&b, ", With: %#x", uint(f.with))
	}
	if zone := os.Getenv(zoneVariable); zone != "" {
		fmt.Fprintf(&b, ", Zones: []string{%q}", zone)
	}
	fmt.Fprintf(&b, "}\n\n%s", f.Trees)
	for _, o := range f.Others {
		fmt.Fprintf(&b, "\nalso %s", o)
	}
	return b.String()
}

// Search works like Explore, and returns the first story without failing the test.
func Search[S any](t *testing.T, sys System[S], x Exploration, scenario func(app *App[S])) Found {
	t.Helper()
	return search(t, sys, x, 1, scenario)
}

// mostStories is the largest number of stories from Explore.
const mostStories = 3

func search[S any](t *testing.T, sys System[S], x Exploration, stories int, scenario func(app *App[S])) Found {
	t.Helper()
	if len(sys.Deployables) > 0 && sys.Transport != nil {
		t.Fatal("bustest: Explore gives each schedule its own Broker: leave out System.Transport")
	}
	defer flush(t)
	collectLess()
	x = x.withDefaults()
	run := func(t *testing.T, dir string, tp *tape) *outcome { return runOnce(t, sys, x, scenario, dir, tp) }
	e := &explorer{x: x, stories: stories, seen: map[uint64]bool{}, run: run}
	var err error
	if e.dir, err = temporary(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.RemoveAll(e.dir); err != nil {
			t.Error(err)
		}
	}()
	if e.template, err = prepare(t, sys, filepath.Join(e.dir, "template")); err != nil {
		t.Fatal(err)
	}
	nth, other := e.forAlone(t)
	if other {
		return Found{}
	}
	switch {
	case x.Replay != "":
		if x.Replay == probing {
			return e.found(1, nil, e.first(t))
		}
		start, values, err := decode(x.Replay)
		if err != nil {
			t.Fatal(err)
		}
		out := e.first(t)
		if start > 0 || len(trimmed(values)) > 0 {
			out = e.once(t, &tape{start: start, values: values})
		}
		return e.found(1, values, out)
	case x.Exhaustive:
		return e.exhaust(t)
	default:
		return e.alone(t, nth, e.random(t))
	}
}

// first runs the obvious schedule, the reference for all others, and then a probe.
func (e *explorer) first(t *testing.T) *outcome {
	out := e.try(t, nil)
	e.seen[out.trace] = true
	if len(out.wrong) == 0 && e.x.Without&Again == 0 {
		if probed := e.once(t, &tape{probe: true}); len(probed.wrong) > 0 {
			return probed
		}
	}
	return out
}

// collectLess reduces garbage collection for the rest of the test binary, because a schedule lives for milliseconds
// only. The environment variable GOGC has priority.
var collectLess = sync.OnceFunc(func() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
})

// prepare starts the system once and keeps the resulting journals as a template, so that thousands of runs need not
// create the same tables.
func prepare[S any](t *testing.T, sys System[S], dir string) (template string, err error) {
	if err := os.MkdirAll(filepath.Join(dir, "first"), 0o700); err != nil {
		return "", err
	}
	template = filepath.Join(dir, "made")
	if err := os.Mkdir(template, 0o700); err != nil {
		return "", err
	}
	leaked := bubble.Run(t, func(t *testing.T) {
		a := newApp(t, sys, filepath.Join(dir, "first"))
		if err = a.boot(); err != nil {
			return
		}
		for _, l := range a.lives() {
			err = errors.Join(err, l.Image(a.ctx, filepath.Join(template, filepath.Base(l.deployable.path))))
		}
		if err = errors.Join(err, a.halt()); err != nil {
			return
		}
		for _, p := range a.procs {
			store, failed := sys.Open(a.ctx, filepath.Join(template, filepath.Base(p.path)))
			if failed == nil {
				failed = store.Close() // an orderly close leaves the least to read
			}
			err = errors.Join(err, failed)
		}
	})
	return template, errors.Join(err, leaked)
}

// outcome is the result of a schedule.
type outcome struct {
	wrong  []string
	story  []string
	trees  string
	state  string
	trace  uint64
	tape   *tape
	states []uint64
}

type explorer struct {
	x        Exploration
	stories  int // the number of stories to find
	dir      string
	template string // a folder with the journals of a system after its first start
	run      func(t *testing.T, dir string, tp *tape) *outcome

	mu    sync.Mutex
	n     int
	seen  map[uint64]bool
	state string // the final state of the first schedule
}

// once runs one schedule in a new folder.
func (e *explorer) once(t *testing.T, tp *tape) *outcome {
	e.mu.Lock()
	e.n++
	dir := filepath.Join(e.dir, fmt.Sprint(e.n))
	e.mu.Unlock()
	if err := os.CopyFS(dir, os.DirFS(e.template)); err != nil {
		t.Fatal(err)
	}
	out := e.run(t, dir, tp)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.n == 1 {
		e.state = out.state
	}
	if len(out.wrong) == 0 && out.state != e.state {
		out.wrong = append(out.wrong, fmt.Sprintf(
			"the final state depends on the schedule: %s, but %s in order and without faults", out.state, e.state))
	}
	return out
}

func (e *explorer) try(t *testing.T, values []int) *outcome { return e.once(t, &tape{values: values}) }

func (e *explorer) found(n int, values []int, out *outcome) Found {
	f := Found{
		Schedules: n, Different: len(e.seen), Wrong: out.wrong, Story: out.story, Replay: encode(out.tape.start, values),
		Trees: out.trees, without: e.x.Without, with: e.x.With,
	}
	if out.tape.probe {
		f.Replay = probing
	}
	return f
}

// random tries schedules from the seed, several at a time. The first failing schedule does not depend on the number of
// workers.
func (e *explorer) random(t *testing.T) Found {
	if out := e.first(t); len(out.wrong) > 0 {
		return e.found(1, nil, out)
	}
	r := &sweep{next: 1, traces: make([]uint64, e.x.Schedules), broken: map[int]*outcome{}, limit: e.x.Schedules}
	var all sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) { // workers also wait for files
		all.Go(func() {
			for i := range r.schedules {
				r.ran(i, e.once(t, e.drawn(i)), e.stories > 1)
			}
		})
	}
	all.Wait()
	for i := 1; i < min(r.last()+1, len(r.traces)); i++ { // without schedules beyond the first failure
		e.seen[r.traces[i]] = true
	}
	found := Found{Schedules: e.x.Schedules, Different: len(e.seen)}
	for n, i := range r.different(e.stories) {
		values, out := e.simplest(t, i, r.broken[i])
		if f := e.found(i+1, values, out); n == 0 {
			found = f
		} else {
			found.Others = append(found.Others, f)
		}
	}
	return found
}

// drawn returns the tape of random schedule i. In every second schedule a delayed step stays delayed for long: with
// independent draws, a step would hardly ever wait for all consequences of the other steps.
func (e *explorer) drawn(i int) *tape {
	return &tape{chance: rand.New(rand.NewPCG(e.x.Seed, uint64(i))), linger: i%2 == 1, start: startOf(i, e.x.Without)}
}

// exhaust tries every schedule once, those with the fewest unusual decisions first. Decisions after a known state are
// not tried again.
func (e *explorer) exhaust(t *testing.T) Found {
	todo := [][]int{nil}
	states := map[uint64]bool{}
	n := 0
	for ; len(todo) > 0; todo = todo[1:] {
		if n == e.x.Schedules {
			return Found{Schedules: n, Different: len(e.seen), Wrong: []string{
				fmt.Sprintf("there are more than %d schedules: make the scenario smaller, or raise Exploration.Schedules", n),
			}}
		}
		prefix := todo[0]
		out := e.try(t, prefix)
		n++
		e.seen[out.trace] = true
		if len(out.wrong) > 0 {
			values, out := e.shrink(t, out)
			return e.found(n, values, out)
		}
		for i, s := range out.states {
			if 3*i+3 <= len(prefix) {
				continue
			}
			if 3*i >= len(prefix) && states[s] {
				break
			}
			states[s] = true
			for at := max(3*i, len(prefix)); at < 3*i+3 && at < len(out.tape.limits); at++ {
				for v := 1; v < out.tape.limits[at]; v++ {
					todo = append(todo, append(slices.Clone(out.tape.drawn[:at]), v))
				}
			}
		}
	}
	return Found{Schedules: n, Different: len(e.seen)}
}
