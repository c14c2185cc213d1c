package bustest

import (
	"maps"
	"slices"
	"sync"
)

// sweep is the progress of several workers through the random schedules, and the failures.
type sweep struct {
	mu     sync.Mutex
	next   int
	limit  int // the first schedule not to run
	traces []uint64
	broken map[int]*outcome
}

// schedules yields the numbers of schedules, each to a single worker.
func (s *sweep) schedules(yield func(int) bool) {
	for {
		s.mu.Lock()
		i := s.next
		s.next++
		stop := i >= s.limit
		s.mu.Unlock()
		if stop || !yield(i) {
			return
		}
	}
}

// ran keeps the outcome of schedule i. Unless others is set, the schedules after the first failure do not run.
func (s *sweep) ran(i int, out *outcome, others bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.traces[i] = out.trace
	if len(out.wrong) == 0 {
		return
	}
	s.broken[i] = out
	if !others {
		s.limit = min(s.limit, i)
	}
}

// last returns the first failing schedule, or the number of schedules.
func (s *sweep) last() int {
	last := len(s.traces)
	for i := range s.broken {
		last = min(last, i)
	}
	return last
}

// different returns up to most failing schedules: the first, and schedules that fail in another way.
func (s *sweep) different(most int) []int {
	var chosen []int
	for _, i := range slices.Sorted(maps.Keys(s.broken)) {
		same := slices.ContainsFunc(chosen, func(c int) bool { return alike(s.broken[i].wrong, s.broken[c].wrong) })
		if !same && len(chosen) < most {
			chosen = append(chosen, i)
		}
	}
	return chosen
}
