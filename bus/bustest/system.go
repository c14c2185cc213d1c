package bustest

import (
	"context"
	"database/sql"
	"os"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
)

// System is what is under test: an application's modules, wired as in production, on fakes for what is outside. S is what
// a test talks to, such as a struct of the modules' public faces.
type System[S any] struct {
	// Open opens the journal at path, such as sqlitetest.Open. Required.
	Open func(ctx context.Context, path string) (journal.Store, error)
	// Wire puts the modules on b, with fakes of w for what is outside. It is called whenever the process starts: what
	// must survive a crash is in the journal, or in w. Required.
	Wire func(b *bus.Bus, w *World) S
	// Verify holds the application's books, when all is quiet, and returns a line for everything that is wrong. Optional.
	Verify func(ctx context.Context, tx *sql.Tx, w *World) ([]string, error)
	// Config is the bus's. Its Logger defaults to one that discards; its Chance is the kit's.
	Config bus.Config
	// RealTime has the test run outside of a testing/synctest bubble: for tests that talk to other processes.
	RealTime bool
}

// App is a System that runs. Its methods are for the test's own goroutine, unless they say otherwise.
type App[S any] struct {
	*core
	s S
}

// S is what the test talks to. It is another one after Restart and Crash.
func (a *App[S]) S() S { return a.s }

// Act does something as a client of the system would: when the process dies before it has answered, it is asked again when
// it is up. what names the act in stories; fn may run several times.
func (a *App[S]) Act(what string, fn func(ctx context.Context, s S) error) error {
	return a.act(what, func(ctx context.Context) error { return fn(ctx, a.s) })
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
	if sys.Open == nil || sys.Wire == nil {
		panic("bustest: a System needs Open, such as sqlitetest.Open, and Wire")
	}
	a := &App[S]{core: newCore(t, sys.Config, dir)}
	a.open, a.verify, a.realTime = sys.Open, sys.Verify, sys.RealTime
	a.wire = func(b *bus.Bus) { a.s = sys.Wire(b, a.world) }
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
