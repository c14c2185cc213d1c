package backoff

import (
	"testing"
	"time"
)

// span returns the time between the first attempt and the last, by the pauses alone.
func span(p Policy, chance float64) (d time.Duration) {
	for attempt := 1; !p.Last(attempt); attempt++ {
		d += p.Pause(attempt, func() float64 { return chance })
	}
	return d
}

// The documentation of bus.Retry has these numbers.
func TestSpans(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		policy Policy
		chance float64
		want   time.Duration
	}{
		{"transactional", Default, 0, 12700 * time.Millisecond},
		{"external, longest", External, 0, 5*time.Hour + 33*time.Minute + 39100*time.Millisecond},
		{"external, shortest", External, 1, 4*time.Hour + 26*time.Minute + 55280*time.Millisecond},
	} {
		if got := span(tt.policy, tt.chance); got != tt.want {
			t.Errorf("%s: the pauses take %v, want %v", tt.name, got, tt.want)
		}
	}
}
