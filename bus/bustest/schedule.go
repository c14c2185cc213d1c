package bustest

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest/internal/bubble"
)

// runOnce runs scenario under the schedule of tp.
func runOnce[S any](
	t *testing.T, sys System[S], x Exploration, scenario func(app *App[S]), dir string, tp *tape,
) *outcome {
	out := &outcome{tape: tp}
	err := bubble.Run(t, func(t *testing.T) {
		r := &recorder{TB: t}
		a := newApp(r, sys, dir)
		if a.without = x.leftOut(); tp.chance != nil && tp.chance.IntN(4) != 0 {
			a.without |= Again // this check takes as long as the rest of the run
		}
		if tp.probe {
			a.gap = time.Second // enough for a handler that reads the seconds of the clock
		}
		a.Expect(x.Expect...)
		s := newScheduler(a.core, tp, x)
		a.sched = s
		if line := tp.begin(); line != "" {
			s.narrate("%s", line)
		}
		ended := make(chan struct{})
		err := a.boot()
		if err == nil {
			go func() {
				defer close(ended)
				defer s.finish()
				scenario(a)
			}()
			err = s.run()
			close(s.closed)
		} else {
			close(ended)
		}
		if err != nil {
			if x.Without&Ends == 0 || !errors.As(err, new(restless)) {
				r.Errorf("%v", err)
			}
			s.giveUp()
		}
		out.judge(a.core, r, err, x)
		a.shutdown()
		<-ended
		out.wrong = append(out.wrong, r.lines()...)
		out.story, out.trace, out.states = s.story, s.trace(), s.states
		if tp.probe { // other failures of a probe come from the extra seconds, and random schedules find such failures, too
			out.wrong = slices.DeleteFunc(out.wrong, func(w string) bool { return !strings.Contains(w, runAgain) })
			out.story = []string{"a second passes before each reaction is run again"}
		}
	})
	if err != nil && x.Without&Ends == 0 {
		out.wrong = append(out.wrong, err.Error())
	}
	return out
}

// judge checks the end of a run.
func (o *outcome) judge(c *core, r *recorder, err error, x Exploration) {
	if err == nil {
		wrong, err := c.audit()
		if err != nil {
			r.Errorf("%v", err)
		}
		o.wrong = append(o.wrong, wrong...)
	} else {
		c.mu.Lock()
		o.wrong = append(o.wrong, c.wrong...)
		c.mu.Unlock()
	}
	if x.Same != nil && err == nil && len(o.wrong) == 0 && !r.failed() {
		if err := c.view(func(tables func(module string) bus.SQL) (err error) {
			o.state, err = x.Same(c.ctx, tables)
			return err
		}); err != nil {
			r.Errorf("%v", err)
		}
	}
	if len(o.wrong) > 0 || r.failed() {
		o.trees = c.trees()
	}
}

// recorder keeps a scenario's failures without failing the test, since the failures are part of the search.
type recorder struct {
	testing.TB
	mu   sync.Mutex
	said []string
}

func (r *recorder) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.said)
}

func (r *recorder) failed() bool { return len(r.lines()) > 0 }

// Helper does nothing.
func (r *recorder) Helper() {}

// Errorf keeps a failure.
func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

// Error keeps a failure.
func (r *recorder) Error(args ...any) { r.Errorf("%s", fmt.Sprint(args...)) }

// Fatalf keeps a failure, and ends the scenario.
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// Fatal keeps a failure, and ends the scenario.
func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

// Logf does nothing.
func (r *recorder) Logf(string, ...any) {}
