package bustest

import (
	"regexp"
	"slices"
	"testing"
)

// shrinkLimit is how many runs shrinking may take.
const shrinkLimit = 600

// longStory is one that a person does not read at a glance: another way to break it the same may be shorter. So many
// schedules are searched for one.
const (
	longStory  = 5
	otherTries = 300
)

// simplest shrinks what broke at schedule first and, when that leaves a long story, what breaks the same way later.
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

// shrinking is the search for the simplest decisions that break it still.
type shrinking struct {
	try    func(values []int) *outcome
	broken *outcome
	best   *outcome
	values []int
	left   int // runs
}

// shrink looks for fewer decisions that are not the obvious ones, and for smaller ones, that break it still.
func (e *explorer) shrink(t *testing.T, broken *outcome) ([]int, *outcome) {
	start := broken.tape.start
	s := &shrinking{
		try:    func(values []int) *outcome { return e.once(t, &tape{start: start, values: values}) },
		broken: broken, best: broken, values: trimmed(slices.Clone(broken.tape.drawn)), left: shrinkLimit,
	}
	if start > 0 { // the moment may have nothing to do with it
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

// better runs a candidate, and keeps it when it breaks the same and is no longer.
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

// zero makes stretches of decisions the obvious ones, long ones first.
func (s *shrinking) zero() (did bool) {
	for size := max(1, len(s.values)/2); size > 0; size /= 2 {
		for from := len(s.values) - size; from > -size; from -= size {
			candidate, changed := zeroed(s.values, max(from, 0), from+size)
			did = changed && s.better(candidate) || did
		}
	}
	return did
}

// remove leaves out whole decisions, so that the later ones move up. Only what makes the story shorter is progress.
func (s *shrinking) remove() bool {
	before := len(s.best.story)
	for at := 0; at+3 <= len(s.values); at += 3 {
		s.better(slices.Delete(slices.Clone(s.values), at, at+3))
	}
	return len(s.best.story) < before
}

// lower makes decisions smaller: a step that waited longer, a fault that is simpler.
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

// fewer are candidates with fewer decisions than values: its faults alone, in the obvious order, each where it may have
// moved to by that; or, where there is none, a single step out of its order.
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

// alike reports whether two failures have a line in common, whatever its numbers: what is shrunk must not become another bug.
func alike(a, b []string) bool {
	kinds := map[string]bool{}
	for _, line := range b {
		kinds[number.ReplaceAllString(line, "#")] = true
	}
	return slices.ContainsFunc(a, func(line string) bool { return kinds[number.ReplaceAllString(line, "#")] })
}

// zeroed is values with zeros from from to to, and whether that changed any.
func zeroed(values []int, from, to int) ([]int, bool) {
	out := slices.Clone(values)
	changed := false
	for i := from; i < min(to, len(out)); i++ {
		changed = changed || out[i] != 0
		out[i] = 0
	}
	return out, changed
}
