package bustest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// Act is an act of another process on the system's files: a person with a command, or a program that writes to a
// journal in SQL. The function journal returns the path of the journal that belongs to a module. Package sqlitetest has
// ready acts.
type Act func(ctx context.Context, journal func(module string) string) error

// Beside runs act as another process. In Run, the act happens at once, and the system notices the act. In Explore, the
// act happens between any two later steps, before the next Quiet or the end, and noticing the act is a step, too.
// Stories use the name. An error from act fails the test.
func (c *core) Beside(name string, act Act) {
	c.t.Helper()
	if c.sched != nil {
		c.sched.beside(&step{kind: stepBeside, name: name}, act)
		return
	}
	for _, l := range c.perform(name, act) {
		if err := l.Look(c.ctx); err != nil {
			c.t.Errorf("%s: the system cannot look at its files: %v", name, err)
		}
	}
	c.rest()
}

// WhileStopped works like Beside, for an act that needs the journal for itself: the system is stopped before the act
// and started again afterwards.
func (c *core) WhileStopped(name string, act Act) {
	c.t.Helper()
	if c.sched != nil {
		c.sched.beside(&step{kind: stepBeside, name: name, stopped: true}, act)
		return
	}
	c.restart(func() { c.perform(name, act) })
}

// perform runs act, and returns the processes whose journals act asked for.
func (c *core) perform(name string, act Act) []*life {
	var touched []*deployable
	err := act(c.ctx, func(module string) string {
		i := slices.IndexFunc(c.procs, func(p *deployable) bool { return p.runs(module) })
		if i < 0 {
			c.fault("%s: no deployable runs the module %q", name, module)
			return ""
		}
		touched = append(touched, c.procs[i])
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.procs[i].path
	})
	if err != nil {
		c.fault("%s: %v", name, err)
	}
	return slices.DeleteFunc(c.alive(), func(l *life) bool { return !slices.Contains(touched, l.deployable) })
}

// beside queues act.
func (s *scheduler) beside(st *step, act Act) {
	st.turn, st.done = make(chan fault, 1), make(chan struct{})
	s.post(st)
	go func() {
		defer close(st.done)
		select {
		case <-st.turn:
		case <-s.closed:
			return
		case <-s.core.over:
			return
		}
		for _, l := range s.core.perform(st.name, act) {
			l.willLook()
		}
	}()
}

// post adds st to the waiting steps.
func (s *scheduler) post(st *step) {
	select {
	case <-s.core.over:
		runtime.Goexit()
	default:
	}
	s.mu.Lock()
	s.pending = append(s.pending, st)
	s.mu.Unlock()
	s.notify()
}

// willLook queues a step in which the process looks at its files and the clock.
func (l *life) willLook() {
	s := l.core.sched
	st := newStep(stepLook, l.deployable.process())
	st.life, st.gone = l, l.stops
	s.mu.Lock()
	waits := slices.ContainsFunc(s.pending, func(o *step) bool { return o.kind == stepLook && o.life == l })
	if !waits { // one look sees all changes
		s.pending = append(s.pending, st)
	}
	s.mu.Unlock()
	if waits {
		return
	}
	s.notify()
	go func() {
		defer close(st.done)
		if s.turn(st) == faultDead {
			return
		}
		if err := l.Look(l.core.ctx); err != nil && !errors.Is(err, journal.ErrClosed) {
			l.core.fault("%s cannot look at its files: %v", l.deployable.process(), err)
		}
	}()
}

// soon reports whether s happens before time passes: a process looks at its files four times a second.
func (s *step) soon() bool { return s.kind == stepLook }

// mayWait reports whether the acts of other processes may wait: no other step is ready, but there will be another.
func (s *scheduler) mayWait(ready []*step) (bool, error) {
	if slices.ContainsFunc(ready, func(st *step) bool { return st.kind != stepBeside }) {
		return false, nil
	}
	if s.core.asleep.Load() > time.Now().UnixNano() {
		return true, nil
	}
	why, err := s.core.unrest()
	return why != nil, err
}

// wait lets time pass until there is a new step, although act could run.
func (s *scheduler) wait(act *step) {
	s.waited = act
	s.note("beside", "time passes")
	select {
	case <-s.arrived: // by known steps
	default:
	}
	select {
	case <-s.arrived:
	case <-time.After(patience):
	}
}

// look returns the name of a look in stories.
func (s *step) look() string { return fmt.Sprintf("the look of %s at its files and the clock", s.name) }
