package bustest

import (
	"context"
	"database/sql"
	"os"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire/wiretest"
)

// System is what is under test: an application's modules, wired as in production, on fakes for what is outside. S is what
// a test talks to, such as a struct of the modules' public faces.
type System[S any] struct {
	// Open opens the journal at path, such as sqlitetest.Open. Required.
	Open func(ctx context.Context, path string) (journal.Store, error)
	// Wire puts the modules on b, with fakes of w for what is outside. It is called whenever the process starts: what
	// must survive a crash is in the journal, or in w. Required.
	Wire func(b *bus.Bus, w *World) S
	// Verify holds the application's books, when all is quiet, and returns a line for everything that is wrong. The tables of a
	// module are in the transaction that tables returns for it: the same for all, unless there are Deployables. Optional.
	Verify func(ctx context.Context, tables func(module string) *sql.Tx, w *World) ([]string, error)
	// Deployables has the system run as several processes, each on a journal of its own and with the modules that are named;
	// Transport lies between. Defaults to one process without a transport.
	Deployables [][]string
	// Transport opens the transport of the deployable that group names. Explore decides itself what is delivered when, in many
	// runs at once, and does without. Defaults to a Broker of each run's own, which loses nothing and takes no time.
	Transport func(group string) (bus.Transport, error)
	// Join makes the S that a test talks to out of those of the deployables: at returns that of the one that runs a module.
	// Required with more than one of Deployables.
	Join func(at func(module string) S) S
	// Config is the bus's. Its Logger defaults to one that discards; its Chance is the kit's.
	Config bus.Config
	// RealTime has the test run outside of a testing/synctest bubble: for tests that talk to other processes.
	RealTime bool

	between func(*life, bus.Transport) bus.Transport // for tests of this package: stands before the run's own Broker
}

// App is a System that runs. Its methods are for the test's own goroutine, unless they say otherwise.
type App[S any] struct {
	*core
	parts []S // of the processes
	join  func(at func(module string) S) S
}

// S is what the test talks to. It is another one after Restart and Crash.
func (a *App[S]) S() S {
	if len(a.parts) == 1 {
		return a.parts[0]
	}
	return a.join(func(module string) S { return a.parts[a.where(module).deployable.number] })
}

// Act does something as a client of the system would: when the process dies before it has answered, it is asked again when
// it is up. what names the act in stories; fn may run several times.
func (a *App[S]) Act(what string, fn func(ctx context.Context, s S) error) error {
	return a.act(what, func(ctx context.Context) error { return fn(ctx, a.S()) })
}

// Must is Act that fails the test with fn's error.
func (a *App[S]) Must(what string, fn func(ctx context.Context, s S) error) {
	a.t.Helper()
	if err := a.Act(what, fn); err != nil {
		a.t.Fatalf("%s: %v", what, err)
	}
}

// newApp makes an App that has not been started.
func newApp[S any](t testing.TB, sys System[S], dir string) *App[S] {
	t.Helper()
	if sys.Open == nil || sys.Wire == nil {
		t.Fatal("bustest: a System needs Open, such as sqlitetest.Open, and Wire")
	}
	if len(sys.Deployables) > 1 && sys.Join == nil {
		t.Fatal("bustest: a System of several Deployables needs Join")
	}
	a := &App[S]{core: newCore(t, sys.Config, dir), join: sys.Join}
	a.open, a.verify, a.realTime = sys.Open, sys.Verify, sys.RealTime
	a.deploy(sys.Deployables)
	a.carrier, a.broker, a.between = sys.Transport, wiretest.NewBroker(), sys.between
	a.parts = make([]S, len(a.procs))
	a.wire = func(p *deployable, b *bus.Bus) { a.parts[p.number] = sys.Wire(b, a.world) }
	return a
}

// flush writes the coverage, if that was asked for.
func flush(t *testing.T) {
	if err := flushCoverage(); err != nil {
		t.Errorf("bustest: write the coverage: %v", err)
	}
}

// Run runs test on a system that has just been started, on a journal of its own, and stops it afterwards. Unless
// sys.RealTime is set, time is virtual: it passes when everything waits. When test returns, everything must become quiet,
// the books balance, and no dead letter be left that Expect did not announce.
func Run[S any](t *testing.T, sys System[S], test func(app *App[S])) {
	t.Helper()
	defer flush(t)
	dir, err := temporary()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	run := func(t *testing.T) {
		a := newApp(t, sys, dir)
		defer a.shutdown()
		if err := a.boot(); err != nil {
			t.Fatal(err)
		}
		test(a)
		a.finish()
	}
	if sys.RealTime {
		run(t)
		return
	}
	if err := bubble(t, run); err != nil {
		t.Error(err)
	}
}
