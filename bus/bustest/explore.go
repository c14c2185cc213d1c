package bustest

import (
	"context"
	"database/sql"
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
)

// Exploration says how a scenario is explored. The zero value works.
type Exploration struct {
	// Schedules is how many are tried. Defaults to 200. An exhaustive exploration ends when there are no more, and
	// fails when there are more than Schedules, which defaults to 20,000 then.
	Schedules int
	// Seed is where chance begins: the same seed gives the same schedules on every machine. Defaults to 1.
	Seed uint64
	// Exhaustive tries every schedule with at most Faults faults, once, rather than random ones.
	Exhaustive bool
	// Faults is how many may be in one schedule. Defaults to 3, and to 1 where Exhaustive; -1 is none.
	Faults int
	// Without leaves out parts, such as Crashes|Twice.
	Without Part
	// With adds parts that are left out otherwise, those of Optional, such as Groups|Clocks.
	With Part
	// Expect names subscriptions whose dead letters are part of the scenario.
	Expect []string
	// Same, when set, describes a final state that must not depend on the schedule. The tables of a module are in the
	// transaction that tables returns for it.
	Same func(ctx context.Context, tables func(module string) *sql.Tx) (string, error)
	// Zones has Explore run the test once more in each of these time zones, such as "America/New_York", in a process of its own, where
	// some schedules begin just before the calendar of the zone changes. Search does not.
	Zones []string
	// Alone has so many of the random schedules run once more, each in a process of its own, when nothing has broken. What a package
	// variable keeps from one schedule for the next shows there, in Same or in what breaks. It takes a tenth of a second each.
	Alone int
	// Replay is one schedule, from the line that a failure prints: only that is run.
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

// leftOut are the parts that a run does without.
func (x Exploration) leftOut() Part { return x.Without | Optional&^x.With }

// budget is how many faults there may be: in a replay as many as it has, wherever it was found.
func (x Exploration) budget() int {
	if x.Replay != "" {
		return maxSteps
	}
	return x.Faults
}

// Found is what an exploration came to.
type Found struct {
	Schedules int      // that were run until the first failure, or in all
	Different int      // of them
	Wrong     []string // what broke; empty when nothing did
	Story     []string // the shortest that was found to break it
	Replay    string   // for Exploration.Replay
	Trees     string   // the flows of that run
	Others    []Found  // what breaks in another way in later schedules; Search looks for none

	without, with Part
}

// Explore runs scenario on a new system under many schedules, and fails the test with the shortest story that breaks it. The
// scenario is the test's own side: it acts, and may wait for Quiet or let time pass; what must hold at the end is checked by
// itself. It must do the same each time it is run, and fails with app.T. Several run at once, and with them sys.Wire and
// sys.Verify.
//
// A scenario that breaks in several ways is told with up to three different stories.
func Explore[S any](t *testing.T, sys System[S], x Exploration, scenario func(app *App[S])) {
	t.Helper()
	if !x.elsewhere(t) {
		return
	}
	f := search(t, sys, x, mostStories, scenario)
	if len(f.Wrong) == 0 {
		t.Logf("%d schedules, %d different", f.Schedules, f.Different)
		return
	}
	t.Fatal(f.String())
}

// String is the story, for people.
func (f Found) String() string {
	var b strings.Builder
	if f.Replay == "" { // no schedule broke it
		return strings.Join(f.Wrong, "\n")
	}
	fmt.Fprintf(&b, "broken by schedule %d:\n", f.Schedules)
	for i, line := range f.Story {
		fmt.Fprintf(&b, "  %d. %s\n", i+1, line)
	}
	if len(f.Story) == 0 {
		b.WriteString("  everything happens in its order, and nothing fails\n")
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

// Search is Explore that returns the first story that it finds.
func Search[S any](t *testing.T, sys System[S], x Exploration, scenario func(app *App[S])) Found {
	t.Helper()
	return search(t, sys, x, 1, scenario)
}

// mostStories is how many different stories Explore tells.
const mostStories = 3

func search[S any](t *testing.T, sys System[S], x Exploration, stories int, scenario func(app *App[S])) Found {
	t.Helper()
	if len(sys.Deployables) > 0 && sys.Transport != nil {
		t.Fatal("bustest: Explore decides what a transport delivers when, and gives each schedule a Broker of its own: leave System.Transport out")
	}
	defer flush(t)
	collectLess()
	x = x.withDefaults()
	e := &explorer{x: x, stories: stories, seen: map[uint64]bool{}, run: func(t *testing.T, dir string, tp *tape) *outcome {
		return runOnce(t, sys, x, scenario, dir, tp)
	}}
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

// first runs the obvious schedule, which others are compared with, and a probe of it.
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

// collectLess lets more garbage gather than usual, for the rest of the test binary: a schedule lives for milliseconds. An
// environment that sets GOGC has its way.
var collectLess = sync.OnceFunc(func() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
})

// temporary makes a folder, in memory where that can be had: nothing there is to survive the test.
func temporary() (string, error) {
	if os.Getenv("TMPDIR") == "" {
		if dir, err := os.MkdirTemp("/dev/shm", "bustest-"); err == nil {
			return dir, nil
		}
	}
	return os.MkdirTemp("", "bustest-")
}

// prepare starts the system once, and keeps the journals that that leaves: thousands of runs need not lay out the same tables.
func prepare[S any](t *testing.T, sys System[S], dir string) (template string, err error) {
	if err := os.MkdirAll(filepath.Join(dir, "first"), 0o700); err != nil {
		return "", err
	}
	template = filepath.Join(dir, "made")
	if err := os.Mkdir(template, 0o700); err != nil {
		return "", err
	}
	leaked := bubble(t, func(t *testing.T) {
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
				failed = store.Close() // in order, which leaves the least to read
			}
			err = errors.Join(err, failed)
		}
	})
	return template, errors.Join(err, leaked)
}

// outcome is what one schedule came to.
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
	stories  int // how many are wanted
	dir      string
	template string // a folder with the journals of a system that has only been started
	run      func(t *testing.T, dir string, tp *tape) *outcome

	mu    sync.Mutex
	n     int
	seen  map[uint64]bool
	state string // the final one of the first schedule, where it must be the same in all
}

// once runs one schedule in a folder of its own.
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
		out.wrong = append(out.wrong, fmt.Sprintf("the final state depends on the schedule: %s, but %s when nothing fails and all comes in its order", out.state, e.state))
	}
	return out
}

func (e *explorer) try(t *testing.T, values []int) *outcome { return e.once(t, &tape{values: values}) }

func (e *explorer) found(n int, values []int, out *outcome) Found {
	f := Found{Schedules: n, Different: len(e.seen), Wrong: out.wrong, Story: out.story, Replay: encode(out.tape.start, values), Trees: out.trees, without: e.x.Without, with: e.x.With}
	if out.tape.probe {
		f.Replay = probing
	}
	return f
}

// random tries schedules from the seed, several at a time. Which is the first to fail does not depend on how many.
func (e *explorer) random(t *testing.T) Found {
	if out := e.first(t); len(out.wrong) > 0 {
		return e.found(1, nil, out)
	}
	r := &sweep{next: 1, traces: make([]uint64, e.x.Schedules), broken: map[int]*outcome{}, limit: e.x.Schedules}
	var all sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) { // they wait for files, too
		all.Go(func() {
			for i := range r.schedules {
				r.ran(i, e.once(t, e.drawn(i)), e.stories > 1)
			}
		})
	}
	all.Wait()
	for i := 1; i < min(r.last()+1, len(r.traces)); i++ { // not those that were on their way meanwhile
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

// drawn is the tape of schedule i. In every second one, what is late is very late: whoever chooses among the steps that are ready, each
// time anew, hardly ever has one wait for all that follows from the others.
func (e *explorer) drawn(i int) *tape {
	return &tape{chance: rand.New(rand.NewPCG(e.x.Seed, uint64(i))), linger: i%2 == 1, start: startOf(i, e.x.Without)}
}

// exhaust tries every schedule once, those with the fewest decisions that are not the obvious ones first. A state that was
// seen is not left in any other way again.
func (e *explorer) exhaust(t *testing.T) Found {
	todo := [][]int{nil}
	states := map[uint64]bool{}
	n := 0
	for ; len(todo) > 0; todo = todo[1:] {
		if n == e.x.Schedules {
			return Found{Schedules: n, Different: len(e.seen), Wrong: []string{
				fmt.Sprintf("there are more than %d schedules: make the scenario smaller, or say how many more there may be", n),
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
