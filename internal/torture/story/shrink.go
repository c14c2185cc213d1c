package story

import "slices"

// Shrink returns the shortest schedule found for which shows returns true. The search begins with s, for which shows
// must have returned true. To end the search early, shows returns false from then on.
func Shrink(s Schedule, shows func(Schedule) bool) Schedule {
	sh := shrinking{best: s, shows: shows}
	for sh.fewer() || sh.simpler() {
	}
	return sh.best
}

// shrinking is the search for a shorter schedule.
type shrinking struct {
	best  Schedule
	shows func(Schedule) bool
}

// try makes steps the best schedule, and reports true, if the finding shows with these steps.
func (s *shrinking) try(steps []Step) bool {
	c := s.best
	c.Steps = steps
	if !s.shows(c) {
		return false
	}
	s.best = c
	return true
}

// fewer leaves steps out, long stretches first. It reports whether any step could be left out.
func (s *shrinking) fewer() (changed bool) {
	for size := max(1, len(s.best.Steps)/2); size > 0; size /= 2 {
		for from := len(s.best.Steps) - size; from >= 0; from -= size {
			changed = s.try(slices.Delete(slices.Clone(s.best.Steps), from, from+size)) || changed
			from = min(from, len(s.best.Steps))
		}
	}
	return changed
}

// simpler makes the steps smaller, one at a time. It reports whether any step could be made smaller.
func (s *shrinking) simpler() (changed bool) {
	for i := range s.best.Steps {
		step := s.best.Steps[i]
		for _, change := range []func(*Step){
			func(s *Step) { s.Calls = 0 }, func(s *Step) { s.Count = min(s.Count, 1) }, func(s *Step) { s.Size = 0 },
			func(s *Step) { s.Mood = "" }, func(s *Step) { s.After = 0 }, func(s *Step) { s.Count /= 2 },
		} {
			smaller := step
			change(&smaller)
			if smaller.String() == step.String() || smaller.Do != Publish && smaller.Do != Work && smaller.Do != Foreign {
				continue
			}
			steps := slices.Clone(s.best.Steps)
			steps[i] = smaller
			if s.try(steps) {
				step, changed = smaller, true
			}
		}
	}
	return changed
}
