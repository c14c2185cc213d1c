package oncelog

import (
	"testing"
	"time"
)

// TestProblem runs a problem through its states: a step is a failure or the end of the problem, some time after the
// step before.
func TestProblem(t *testing.T) {
	t.Parallel()
	type step struct {
		after  time.Duration
		fails  bool
		count  int           // failures in the log line; 0 without a line
		lasted time.Duration // in the log line about the end
	}
	for name, steps := range map[string][]step{
		"one failure":                   {{0, true, 1, 0}, {time.Second, false, 1, time.Second}},
		"the end is logged once":        {{0, true, 1, 0}, {0, false, 1, 0}, {0, false, 0, 0}},
		"nothing failed":                {{0, false, 0, 0}},
		"a line a minute":               {{0, true, 1, 0}, {time.Second, true, 0, 0}, {time.Minute, true, 2, 0}, {time.Second, false, 3, time.Minute + 2*time.Second}},
		"it comes and goes":             {{0, true, 1, 0}, {time.Second, false, 1, time.Second}, {time.Second, true, 0, 0}, {time.Second, false, 0, 0}, {time.Minute, true, 2, 0}, {0, false, 1, 0}},
		"it is back, and lasts":         {{0, true, 1, 0}, {0, false, 1, 0}, {0, true, 0, 0}, {Lasts - 1, true, 0, 0}, {1, true, 3, 0}, {Lasts, true, 0, 0}, {0, false, 4, 2 * Lasts}},
		"exactly a minute is a new one": {{0, true, 1, 0}, {Again - 1, true, 0, 0}, {1, true, 2, 0}},
	} {
		var p Problem
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for i, s := range steps {
			now = now.Add(s.after)
			var count int
			var lasted time.Duration
			if s.fails {
				count = p.Failed(now)
			} else {
				count, lasted = p.Over(now)
			}
			if count != s.count || lasted != s.lasted {
				t.Errorf("%s: step %d: %d failures, lasted %v: want %d, %v", name, i, count, lasted, s.count, s.lasted)
			}
			if p.Since().IsZero() == s.fails {
				t.Errorf("%s: step %d: fails %v, and began at %v", name, i, s.fails, p.Since())
			}
		}
	}
}
