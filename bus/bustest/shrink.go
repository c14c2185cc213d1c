package bustest

import (
	"regexp"
	"slices"
	"testing"
)

// shrinkLimit is the largest number of runs for shrinking.
const shrinkLimit = 600

// A story longer than longStory is hard to read, and another schedule may fail the same way with a shorter story.
// simplest tries otherTries further schedules.
const (
	longStory  = 5
	otherTries = 300
)

// simplest shrinks the failure of schedule first. If the story stays long, simplest also shrinks the same failure in
// later schedules.
func (e *explorer) simplest(t *testing.T, first int, broken *outcome) ([]int, *outcome) {
	values, best := e.shrink(t, broken)
	for i := first + 1; i <= first+otherTries && len(best.story) > longStory; i++ {
		other := e.once(t, e.drawn(i))
		if !alike(other.wrong, broken.wrong) {
			continue
		}
		if shorter, out := e.shrink(t, other); len(out.story) < len(best.story) {
			values, best = shorter, out
		}
	}
	return values, best
}

// shrinking is the search for the simplest decisions with the same failure.
type shrinking struct {
	try    func(values []int) *outcome
	broken *outcome
	best   *outcome
	values []int
	left   int // remaining runs
}

// shrink looks for fewer and smaller decisions with the same failure.
func (e *explorer) shrink(t *testing.T, broken *outcome) ([]int, *outcome) {
	start := broken.tape.start
	s := &shrinking{
		try:    func(values []int) *outcome { return e.once(t, &tape{start: start, values: values}) },
		broken: broken, best: broken, values: trimmed(slices.Clone(broken.tape.drawn)), left: shrinkLimit,
	}
	if start > 0 { // the start may be irrelevant
		usual := e.try(t, s.values)
		if alike(usual.wrong, broken.wrong) {
			start, s.best, s.values = 0, usual, trimmed(slices.Clone(usual.tape.drawn))
		}
	}
	for s.zero() || s.remove() || s.any(fewer(s.values, s.best.tape.limits)) || s.lower() {
		if s.left <= 0 {
			break
		}
	}
	return s.values, s.best
}

// better runs a candidate, and keeps the candidate if the failure is the same and the story is not longer.
func (s *shrinking) better(candidate []int) bool {
	if s.left--; s.left < 0 {
		return false
	}
	out := s.try(candidate)
	drawn := trimmed(slices.Clone(out.tape.drawn))
	if !alike(out.wrong, s.broken.wrong) || len(out.story) > len(s.best.story) || slices.Equal(drawn, s.values) {
		return false
	}
	s.best, s.values = out, drawn
	return true
}

func (s *shrinking) any(candidates [][]int) bool { return slices.ContainsFunc(candidates, s.better) }

// zero replaces ranges of decisions by the obvious decisions, long ranges first.
func (s *shrinking) zero() (did bool) {
	for size := max(1, len(s.values)/2); size > 0; size /= 2 {
		for from := len(s.values) - size; from > -size; from -= size {
			candidate, changed := zeroed(s.values, max(from, 0), from+size)
			did = changed && s.better(candidate) || did
		}
	}
	return did
}

// remove leaves out whole decisions, so that later decisions move up. Only a shorter story counts as progress.
func (s *shrinking) remove() bool {
	before := len(s.best.story)
	for at := 0; at+3 <= len(s.values); at += 3 {
		s.better(slices.Delete(slices.Clone(s.values), at, at+3))
	}
	return len(s.best.story) < before
}

// lower tries smaller decisions: an older step, or a simpler fault.
func (s *shrinking) lower() bool {
	for i, v := range s.values {
		for smaller := 1; smaller < v; smaller++ {
			candidate := slices.Clone(s.values)
			candidate[i] = smaller
			if s.better(candidate) {
				return true
			}
		}
	}
	return false
}

// fewer returns candidates with fewer decisions than values. With faults, a candidate has only the faults, in the
// obvious order, each at several positions, because the position may have changed. Without faults, a candidate has a
// single step out of order.
func fewer(values, limits []int) [][]int {
	var faults []int // positions
	decisions := 0
	for i, v := range values {
		if v != 0 {
			decisions++
		}
		if v != 0 && drawKind(i%3) != drawStep {
			faults = append(faults, i)
		}
	}
	var out [][]int
	if decisions <= max(1, len(faults)) {
		return nil
	}
	only := func(decided map[int]int) {
		c := make([]int, len(limits))
		for at, v := range decided {
			if at >= 0 && at < len(c) {
				c[at] = v
			}
		}
		out = append(out, c)
	}
	switch len(faults) {
	case 0:
		for at := int(drawStep); at < len(limits); at += 3 {
			for v := 1; v < limits[at]; v++ {
				only(map[int]int{at: v})
			}
		}
	case 1:
		for at := faults[0] % 3; at < len(limits); at += 3 {
			only(map[int]int{at: values[faults[0]]})
		}
	case 2:
		const near = 6
		for a := -near; a <= near; a++ {
			for b := -near; b <= near; b++ {
				only(map[int]int{faults[0] + 3*a: values[faults[0]], faults[1] + 3*b: values[faults[1]]})
			}
		}
	}
	return out
}

var number = regexp.MustCompile(`[0-9]+`)

// alike reports whether two failures share a line, apart from numbers. Shrinking must not end at another bug.
func alike(a, b []string) bool {
	kinds := map[string]bool{}
	for _, line := range b {
		kinds[number.ReplaceAllString(line, "#")] = true
	}
	return slices.ContainsFunc(a, func(line string) bool { return kinds[number.ReplaceAllString(line, "#")] })
}

// zeroed returns values with zeros in [from, to), and reports whether a value changed.
func zeroed(values []int, from, to int) ([]int, bool) {
	out := slices.Clone(values)
	changed := false
	for i := from; i < min(to, len(out)); i++ {
		changed = changed || out[i] != 0
		out[i] = 0
	}
	return out, changed
}
