package torture

import (
	"context"
	"os"
	"slices"
	"time"
)

// triesEach is how often a candidate may fail to show the finding again: chance takes part.
const triesEach = 3

// Shrink looks for a shorter schedule that finds something of the same class, until limit has passed. It returns what it has
// then, and whether the finding was seen again at all.
func (m *Machine) Shrink(ctx context.Context, s Schedule, class string, limit time.Duration) (Schedule, bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	sh := shrinking{best: s, shows: func(c Schedule) bool { return m.shows(ctx, c, class) }}
	if !sh.shows(s) {
		return s, false
	}
	for sh.fewer() || sh.simpler() {
		if ctx.Err() != nil {
			break
		}
	}
	return sh.best, true
}

// shows reports whether a run of s finds something of class.
func (m *Machine) shows(ctx context.Context, s Schedule, class string) bool {
	for range triesEach {
		folder, err := os.MkdirTemp("", "torture-")
		if err != nil {
			return false
		}
		out, err := m.Run(ctx, s, folder)
		_ = os.RemoveAll(folder) // a leftover in the temporary folder
		if err != nil {
			return false
		}
		if slices.ContainsFunc(out.Findings, func(f Finding) bool { return f.Class == class }) {
			return true
		}
	}
	return false
}

// shrinking is the search for a shorter schedule.
type shrinking struct {
	best  Schedule
	shows func(Schedule) bool
}

func (s *shrinking) better(steps []Step) bool {
	c := s.best
	c.Steps = steps
	if !s.shows(c) {
		return false
	}
	s.best = c
	return true
}

// fewer leaves steps out, long stretches first.
func (s *shrinking) fewer() (did bool) {
	for size := max(1, len(s.best.Steps)/2); size > 0; size /= 2 {
		for from := len(s.best.Steps) - size; from >= 0; from -= size {
			did = s.better(slices.Delete(slices.Clone(s.best.Steps), from, from+size)) || did
			from = min(from, len(s.best.Steps))
		}
	}
	return did
}

// simpler makes the steps smaller, one at a time.
func (s *shrinking) simpler() (did bool) {
	for i := range s.best.Steps {
		step := s.best.Steps[i]
		for _, change := range []func(*Step){
			func(s *Step) { s.Calls = 0 }, func(s *Step) { s.Count = min(s.Count, 1) }, func(s *Step) { s.Size = 0 },
			func(s *Step) { s.Mood = "" }, func(s *Step) { s.After = 0 }, func(s *Step) { s.Count /= 2 },
		} {
			smaller := step
			change(&smaller)
			if smaller.String() == step.String() || smaller.Do != publish && smaller.Do != work && smaller.Do != foreign {
				continue
			}
			steps := slices.Clone(s.best.Steps)
			steps[i] = smaller
			if s.better(steps) {
				step, did = smaller, true
			}
		}
	}
	return did
}
