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

// scheduler decides, once nobody can go on without it, what happens next. It is the bubble's main goroutine.
type scheduler struct {
	core    *core
	tape    *tape
	without Part
	moves   []move // what may happen in place of a step
	budget  int    // faults that are left

	mu       sync.Mutex
	pending  []*step
	wishes   []*wish
	finished bool          // the scenario has returned
	arrived  chan struct{} // capacity 1
	closed   chan struct{} // closed when nothing is decided any more
	round    int

	story   []string            // decisions that were not the obvious ones
	waits   *step               // that the last line of the story is about, when it says that it waits
	late    *step               // that was made to wait
	waited  *step               // another process's act that has let time pass, of which the story does not tell yet
	history map[string][]string // by place, what happened there
	shared  int                 // how much of what happened concerns every place
	order   []string            // everything, in order
	keep    bool                // states are wanted
	states  []uint64            // at each decision, what can be told of the state
}

// wish is what the scenario waits for: quiet, or a restart or a crash of the process.
type wish struct {
	restart, crash bool
	done           chan struct{}
}

// pauses are the times that may pass while there is work.
var pauses = []time.Duration{time.Second, time.Minute, time.Hour}

// maxSteps ends a run that does not end by itself.
const maxSteps = 2000

// restless says that a run does not end by itself, which is what Ends looks for.
type restless struct{ error }

func restlessf(format string, args ...any) error { return restless{fmt.Errorf(format, args...)} }

// await waits for st's turn, and returns what is to go wrong with it.
func (s *scheduler) await(st *step) fault {
	s.mu.Lock()
	s.pending = append(s.pending, st)
	s.mu.Unlock()
	s.tell()
	return s.turn(st)
}

// turn waits for the turn of st, which is pending.
func (s *scheduler) turn(st *step) fault {
	select {
	case f := <-st.turn:
		return f
	case <-st.life.dead:
		return faultDead
	case <-s.closed: // a handler that was left behind goes on while its process stops
		return faultDead
	case <-st.gone:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pending = slices.DeleteFunc(s.pending, func(p *step) bool { return p == st })
		return faultDead
	}
}

func (s *scheduler) tell() {
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
	s.tell()
	<-w.done
}

// finish notes that the scenario has returned.
func (s *scheduler) finish() {
	s.mu.Lock()
	s.finished = true
	s.mu.Unlock()
	s.tell()
}

// run decides until everything is quiet and the scenario has returned.
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

// giveUp ends a scenario that does not end by itself, or cannot go on.
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

// forget drops what waits in a process that is dead: it has been told.
func (s *scheduler) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = slices.DeleteFunc(s.pending, func(st *step) bool { return st.life != nil && st.life.isDead() })
}

// grant does what the scenario asked for, if it can be done at once.
func (s *scheduler) grant() (did bool, err error) {
	s.mu.Lock()
	i := slices.IndexFunc(s.wishes, func(w *wish) bool { return w.restart || w.crash })
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
			l.die() // run sees to the rest
		}
		return true, nil
	}
	return true, s.restart(nil)
}

// restart stops the process in order, and starts it again. What it had begun ends, one after the other. In between, another process
// does its act, if there is one.
func (s *scheduler) restart(act *step) error {
	ended := make(chan error, 1)
	go func() {
		err := s.core.halt()
		if act != nil && err == nil {
			s.letGo(act, faultNone)
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

// idle lets time pass until there is something to decide. It reports that there is nothing left.
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

// ready returns what waits for its turn, what waited longest first, in an order that does not depend on the goroutines.
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

// letGo has st go on with f, and waits until it has done what it does while nothing else may happen.
func (s *scheduler) letGo(st *step, f fault) {
	s.mu.Lock()
	s.pending = slices.DeleteFunc(s.pending, func(p *step) bool { return p == st })
	s.mu.Unlock()
	st.turn <- f
	<-st.done
}

// state tells states apart. Modules share no tables, so what each has done, in its order, is all that its state depends
// on; two runs that differ only in how the modules' steps lie between each other are in the same state. What is on its way between
// deployables is what each has sent and has not taken in.
func (s *scheduler) state(ready []*step) uint64 {
	h := fnv.New64a()
	places := make([]string, 0, len(s.history))
	for p := range s.history {
		places = append(places, p)
	}
	slices.Sort(places)
	for _, p := range places {
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

// trace tells whole runs apart.
func (s *scheduler) trace() uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q", s.order)
	return h.Sum64()
}
