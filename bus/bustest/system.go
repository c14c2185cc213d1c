package bustest

import (
	"context"
	"os"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest/internal/bubble"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire/wiretest"
)

// System is the system under test: the application's modules, wired as in production, with fakes for external services.
// S is the test's access to the system, for example a struct with the modules' public interfaces.
type System[S any] struct {
	// Open opens the journal at path, for example sqlitetest.Open. Required.
	Open func(ctx context.Context, path string) (journal.Store, error)
	// Wire registers the modules on b, with fakes from w for external services. The kit calls Wire at every start of a
	// process: keep state that must survive a crash in the journal or in w. Required.
	Wire func(b *bus.Bus, w *World) S
	// Verify checks the application's books when the system is quiet, and returns a line for every mistake. The function
	// tables returns the transaction for the tables of a module: the same for all modules, unless Deployables is set.
	// Optional.
	Verify func(ctx context.Context, tables func(module string) bus.SQL, w *World) ([]string, error)
	// Deployables runs the system as several processes, each with its own journal and the named modules, connected by
	// Transport. Defaults to one process without a transport.
	Deployables [][]string
	// Transport opens the transport of the deployable with the name group. Explore requires nil here: each schedule has
	// its own broker, so that the schedule decides what is delivered when. Defaults to a wiretest.Broker for each run,
	// without losses and without delay.
	Transport func(group string) (bus.Transport, error)
	// Join combines the S of all deployables into the S for the test. The function at returns the S of the deployable that
	// runs a module. Required if Deployables has more than one entry.
	Join func(at func(module string) S) S
	// Config configures the bus. Logger defaults to a logger that discards; Chance is always set by the kit.
	Config bus.Config
	// RealTime runs the test outside of a testing/synctest bubble: for tests with other processes.
	RealTime bool

	between func(*life, bus.Transport) bus.Transport // wraps the run's Broker, for tests of this package
}

// App is a running System. Call the methods from the test's own goroutine, unless a method says otherwise.
type App[S any] struct {
	*core
	parts []S // by the number of the process
	join  func(at func(module string) S) S
}

// S returns the test's access to the system. Restart and Crash replace the value.
func (a *App[S]) S() S {
	if len(a.parts) == 1 {
		return a.parts[0]
	}
	return a.join(func(module string) S { return a.parts[a.where(module).deployable.number] })
}

// Act calls fn as a client of the system. If the process dies before the answer, Act calls fn again when the process is
// up again. In Explore, the answer of a unit of work with an idempotency key may be lost, and then Act calls fn again,
// too; see Key. Stories use the name.
func (a *App[S]) Act(name string, fn func(ctx context.Context, s S) error) error {
	return a.act(name, func(ctx context.Context) error { return fn(ctx, a.S()) })
}

// Must calls Act, and fails the test with fn's error.
func (a *App[S]) Must(name string, fn func(ctx context.Context, s S) error) {
	a.t.Helper()
	if err := a.Act(name, fn); err != nil {
		a.t.Fatalf("%s: %v", name, err)
	}
}

// newApp returns an App without starting the processes.
func newApp[S any](t testing.TB, sys System[S], dir string) *App[S] {
	t.Helper()
	if sys.Open == nil || sys.Wire == nil {
		t.Fatal("bustest: a System needs Open, such as sqlitetest.Open, and Wire")
	}
	if len(sys.Deployables) > 1 && sys.Join == nil {
		t.Fatal("bustest: a System with several Deployables needs Join")
	}
	a := &App[S]{core: newCore(t, sys.Config, dir), join: sys.Join}
	a.open, a.verify, a.realTime = sys.Open, sys.Verify, sys.RealTime
	a.deploy(sys.Deployables)
	a.openTransport, a.broker, a.between = sys.Transport, wiretest.NewBroker(), sys.between
	a.parts = make([]S, len(a.procs))
	a.program(sys.Wire)
	return a
}

// program sets the modules for the next start.
func (a *App[S]) program(wire func(b *bus.Bus, w *World) S) {
	a.wire = func(p *deployable, b *bus.Bus) { a.parts[p.number] = wire(b, a.world) }
}

// Deploy starts another version of the program on the same journals: Deploy stops the processes in an orderly way,
// carries out acts, such as sqlitetest.Retire, and starts the processes with wire in place of System.Wire, as every
// later start. The versions may have different modules, migrations and subscriptions.
func (a *App[S]) Deploy(wire func(b *bus.Bus, w *World) S, acts ...Act) {
	a.t.Helper()
	a.restart(func() {
		for _, act := range acts {
			a.perform("Deploy", act)
		}
		a.program(wire)
	})
}

// flush writes the coverage, if a file was requested.
func flush(t *testing.T) {
	if err := flushCoverage(); err != nil {
		t.Errorf("bustest: write the coverage: %v", err)
	}
}

// temporary creates a folder, in memory if possible, since the files need not survive the test.
func temporary() (string, error) {
	if os.Getenv("TMPDIR") == "" {
		if dir, err := os.MkdirTemp("/dev/shm", "bustest-"); err == nil {
			return dir, nil
		}
	}
	return os.MkdirTemp("", "bustest-")
}

// Run starts sys on new journals, runs test, and stops sys. Time is virtual unless sys.RealTime is set: time passes
// while every goroutine waits. After test returns, the system must become quiet, the books must balance, and only
// subscriptions named by Expect may have dead letters.
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
	if err := bubble.Run(t, run); err != nil {
		t.Error(err)
	}
}
