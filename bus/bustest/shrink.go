package bustest

import (
	"regexp"
	"slices"
	"testing"
)

// shrinkLimit is how many runs shrinking may take.
const shrinkLimit = 600

// shrink looks for the simplest decisions that break it still: fewer that are not the obvious ones, and these smaller.
func (e *explorer) shrink(t *testing.T, broken *outcome) ([]int, *outcome) {
	best, values := broken, trimmed(slices.Clone(broken.tape.drawn))
	left := shrinkLimit
	better := func(candidate []int) bool {
		if left--; left < 0 {
			return false
		}
		out := e.try(t, candidate)
		if !alike(out.wrong, broken.wrong) || len(out.story) > len(best.story) || slices.Equal(trimmed(out.tape.drawn), values) {
			return false
		}
		best, values = out, trimmed(slices.Clone(out.tape.drawn))
		return true
	}
	for again := true; again && left > 0; {
		again = false
		for size := max(1, len(values)/2); size > 0; size /= 2 {
			for from := len(values) - size; from > -size; from -= size {
				candidate, changed := zeroed(values, max(from, 0), from+size)
				if changed && better(candidate) {
					again = true
				}
			}
		}
		if !again {
			for _, candidate := range fewer(values, best.tape.limits) {
				if left > 0 && better(candidate) {
					again = true
					break
				}
			}
		}
		for i := 0; i < len(values); i++ {
			for v := 1; i < len(values) && v < values[i]; v++ {
				candidate := slices.Clone(values)
				candidate[i] = v
				if better(candidate) {
					again = true
					break
				}
			}
		}
	}
	return values, best
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
