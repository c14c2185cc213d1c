package postgres_test

import (
	"runtime"
	"testing"
	"time"
)

// leakCheck compares the goroutines of the process with those that there were.
type leakCheck struct {
	tb     testing.TB
	before int
}

func goroutines(tb testing.TB) leakCheck { return leakCheck{tb, runtime.NumGoroutine()} }

// none waits until there are at most so many more.
func (l leakCheck) none(more int) {
	l.tb.Helper()
	eventually(l.tb, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= l.before+more })
}

// eventually is for what nobody tells of.
func eventually(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); !is(); <-tick.C {
		if time.Since(began) > patience {
			tb.Fatalf("not in %v: %s", patience, what)
		}
	}
}
