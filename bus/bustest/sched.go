package bustest

import (
	"errors"
	"fmt"
	"hash/fnv"
	"runtime"
	"slices"
	"sync"
	"testing/synctest"
	"time"
)

// scheduler decides the next step whenever every goroutine waits. The scheduler runs in the main goroutine of the
// bubble.
type scheduler struct {
	core    *core
	tape    *tape
	without Part
	moves   []move // possible moves in place of a step
	budget  int    // remaining faults

	mu       sync.Mutex
	pending  []*step
	wishes   []*wish
	finished bool          // the scenario has returned
	arrived  chan struct{} // capacity 1
	closed   chan struct{} // closed when there are no more decisions
	round    int

	story   []string            // the decisions other than the obvious ones
	waits   *step               // the waiting step in the story's last line, if the line reports a wait
	late    *step               // the oldest step, after another step was preferred
	waited  *step               // an act of another process that has let time pass, before the story mentions the act
	history map[string][]string // by site, the events there
	shared  int                 // the number of events so far that influence all sites
	order   []string            // all events
	keep    bool                // whether to keep states
	states  []uint64            // a hash of the known state at each decision
}

// newScheduler returns a scheduler for a run of c by tp.
func newScheduler(c *core, tp *tape, x Exploration) *scheduler {
	without := x.leftOut()
	return &scheduler{
		core: c, tape: tp, without: without, moves: movesOf(without), budget: tp.faults(x.budget()), keep: x.Exhaustive,
		arrived: make(chan struct{}, 1), closed: make(chan struct{}), history: map[string][]string{},
	}
}

// wish is a request of the scenario: to wait for quiet, to restart, or to crash.
type wish struct {
	between func() // for a restart: called while the system is stopped
	crash   bool
	done    chan struct{}
}

// pauses are the durations that may pass while there is work.
var pauses = []time.Duration{time.Second, time.Minute, time.Hour}

// maxSteps limits a run that does not end.
const maxSteps = 2000

// restless is the error for a run that does not end. The part Ends looks for such runs.
type restless struct{ error }

func restlessf(format string, args ...any) error { return restless{fmt.Errorf(format, args...)} }

// await queues st, waits for the turn of st, and returns the fault of st.
func (s *scheduler) await(st *step) fault {
	s.mu.Lock()
	s.pending = append(s.pending, st)
	s.mu.Unlock()
	s.notify()
	return s.turn(st)
}

// turn waits for the turn of st, which is pending.
func (s *scheduler) turn(st *step) fault {
	select {
	case f := <-st.turn:
		return f
	case <-st.life.dead:
		return faultDead
	case <-s.closed: // an abandoned handler goes on while its process stops
		return faultDead
	case <-st.gone:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pending = slices.DeleteFunc(s.pending, func(p *step) bool { return p == st })
		return faultDead
	}
}

func (s *scheduler) notify() {
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

// ask waits until w is granted.
func (s *scheduler) ask(w *wish) {
	select {
	case <-s.core.over:
		runtime.Goexit()
	default:
	}
	w.done = make(chan struct{})
	s.mu.Lock()
	s.wishes = append(s.wishes, w)
	s.mu.Unlock()
	s.notify()
	<-w.done
}

// finish notes the return of the scenario.
func (s *scheduler) finish() {
	s.mu.Lock()
	s.finished = true
	s.mu.Unlock()
	s.notify()
}

// run makes decisions until the system is quiet and the scenario has returned.
func (s *scheduler) run() error {
	for {
		synctest.Wait()
		if slices.ContainsFunc(s.core.alive(), (*life).isDead) {
			s.forget()
			if err := s.core.revive(); err != nil {
				return err
			}
			continue
		}
		if did, err := s.grant(); did || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		ready := s.ready()
		if len(ready) == 0 {
			end, err := s.idle()
			if end || err != nil {
				return err
			}
			continue
		}
		if len(s.order) > maxSteps {
			return restlessf("it does not end: after %s there are more, next %s", s.core.store.after(maxSteps), ready[0])
		}
		lull, err := s.mayWait(ready)
		if err == nil {
			err = s.decide(ready, lull)
		}
		if err != nil {
			return err
		}
	}
}

// giveUp ends a scenario that does not end, or that cannot go on.
func (s *scheduler) giveUp() {
	close(s.core.over)
	for _, l := range s.core.alive() {
		l.die()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.wishes {
		close(w.done)
	}
	s.wishes, s.finished = nil, true
}

// forget drops the waiting steps of dead processes. These steps end by the death of their process.
func (s *scheduler) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = slices.DeleteFunc(s.pending, func(st *step) bool { return st.life != nil && st.life.isDead() })
}

// grant carries out the scenario's next restart or crash, if there is a request.
func (s *scheduler) grant() (did bool, err error) {
	s.mu.Lock()
	i := slices.IndexFunc(s.wishes, func(w *wish) bool { return w.between != nil || w.crash })
	if i < 0 {
		s.mu.Unlock()
		return false, nil
	}
	w := s.wishes[i]
	s.wishes = slices.Delete(s.wishes, i, i+1)
	s.mu.Unlock()
	defer close(w.done)
	if w.crash {
		for _, l := range s.core.lives() {
			l.die() // run starts the processes again
		}
		return true, nil
	}
	return true, s.restart(w.between)
}

// restart stops the system in an orderly way, and starts the system again. Unfinished steps end one after the other.
// While the system is stopped, between is called.
func (s *scheduler) restart(between func()) error {
	ended := make(chan error, 1)
	go func() {
		err := s.core.halt()
		if err == nil {
			between()
		}
		ended <- errors.Join(err, s.core.boot())
	}()
	for {
		synctest.Wait()
		select {
		case err := <-ended:
			return err
		default:
		}
		ready := slices.DeleteFunc(s.ready(), func(st *step) bool { return st.kind == stepBeside })
		if len(ready) > 0 {
			s.letGo(ready[0], faultNone)
			continue
		}
		select {
		case err := <-ended:
			return err
		case <-s.arrived:
		}
	}
}

// idle lets time pass until there is a decision to make. At the end of the run, idle returns true.
func (s *scheduler) idle() (end bool, err error) {
	why, err := s.core.unrest()
	if err != nil {
		return true, err
	}
	s.mu.Lock()
	if why == nil {
		if len(s.wishes) > 0 {
			for _, w := range s.wishes {
				close(w.done)
			}
			s.wishes = nil
			s.mu.Unlock()
			return false, nil
		}
		if s.finished {
			s.mu.Unlock()
			return true, nil
		}
	}
	s.mu.Unlock()
	select {
	case <-s.arrived:
		return false, nil
	case <-time.After(patience + max(0, time.Until(time.Unix(0, s.core.asleep.Load())))):
		if why == nil { // the scenario goes on for ever
			why = func() string { return s.core.busy(s.core.current()) }
		}
		return true, restlessf("it does not become quiet: %s", why())
	}
}

// ready returns the waiting steps, oldest first, in an order that does not depend on the goroutines.
func (s *scheduler) ready() []*step {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.round++
	for _, st := range s.pending {
		if st.round == 0 {
			st.round = s.round
		}
	}
	slices.SortStableFunc(s.pending, (*step).compare)
	return slices.Clone(s.pending)
}

// letGo lets st go on with fault f, and waits for the end of st's exclusive part.
func (s *scheduler) letGo(st *step, f fault) {
	s.mu.Lock()
	s.pending = slices.DeleteFunc(s.pending, func(p *step) bool { return p == st })
	s.mu.Unlock()
	st.turn <- f
	<-st.done
}

// state returns a hash of the state. Modules share no tables, so the state of a module depends only on its own history.
// Runs with other interleavings of the modules are in the same state. A message is in flight if the sender's history
// has the message and the receiver's history has not.
func (s *scheduler) state(ready []*step) uint64 {
	h := fnv.New64a()
	sites := make([]string, 0, len(s.history))
	for p := range s.history {
		sites = append(sites, p)
	}
	slices.Sort(sites)
	for _, p := range sites {
		fmt.Fprintf(h, "%s:%q;", p, s.history[p])
	}
	names := make([]string, len(ready))
	for i, st := range ready {
		names[i] = st.String()
	}
	slices.Sort(names)
	fmt.Fprintf(h, "%q %d %v", names, s.budget, s.finished)
	return h.Sum64()
}

// trace returns a hash of the whole run.
func (s *scheduler) trace() uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q", s.order)
	return h.Sum64()
}
