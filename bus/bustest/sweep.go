package bustest

import (
	"maps"
	"slices"
	"sync"
)

// sweep is what several workers run of the random schedules, and what broke.
type sweep struct {
	mu     sync.Mutex
	next   int
	limit  int // no schedule from here on
	traces []uint64
	broken map[int]*outcome
}

// schedules yields numbers of schedules that no other worker has had, until there are no more.
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

// ran notes the outcome of schedule i. Unless others are wanted, too, the first that is broken is the last to run.
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

// last returns the first schedule that broke, or how many there are.
func (s *sweep) last() int {
	last := len(s.traces)
	for i := range s.broken {
		last = min(last, i)
	}
	return last
}

// different returns up to most broken schedules, the first of them and those that break in another way.
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
