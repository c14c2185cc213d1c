package bus

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// Retry is the retry policy of a subscription. The zero value works.
type Retry struct {
	// Attempts is the number of attempts before an event becomes a dead letter. Defaults to 8; -1 means a single attempt.
	Attempts int
	// First is the pause before the second attempt. Defaults to 100 ms.
	First time.Duration
	// Max is the longest pause. Defaults to 1 minute.
	Max time.Duration
	// Factor multiplies the pause after each attempt. Defaults to 2.
	Factor float64
	// Jitter is the random part of each pause, from 0 to 1, so that events that failed together are not retried together.
	// Defaults to 0.2; -1 turns jitter off.
	Jitter float64
}

// withDefaults returns r with the zero fields set to those of d.
func (r Retry) withDefaults(d Retry) Retry {
	r.Attempts = cmp.Or(r.Attempts, d.Attempts)
	r.First = cmp.Or(r.First, d.First)
	r.Max = cmp.Or(r.Max, d.Max)
	r.Factor = cmp.Or(r.Factor, d.Factor)
	r.Jitter = cmp.Or(r.Jitter, d.Jitter)
	return r
}

var defaultRetry = Retry{Attempts: 8, First: 100 * time.Millisecond, Max: time.Minute, Factor: 2, Jitter: 0.2}

func (r Retry) validate() error {
	switch {
	case r.Attempts < -1:
		return fmt.Errorf("Retry.Attempts is %d: want 1 or more, 0 for the default, -1 for a single attempt", r.Attempts)
	case r.First < 0 || r.Max < 0:
		return fmt.Errorf("Retry.First is %v and Retry.Max %v: want 0 for the default, or more", r.First, r.Max)
	case r.First > maxDelay || r.Max > maxDelay:
		return fmt.Errorf("Retry.First is %v and Retry.Max %v: want no more than %v", r.First, r.Max, maxDelay)
	case r.Factor < 0 || r.Factor > 0 && r.Factor < 1:
		return fmt.Errorf("Retry.Factor is %v: want 1 or more, 0 for the default", r.Factor)
	case r.Jitter > 1:
		return fmt.Errorf("Retry.Jitter is %v: want up to 1, 0 for the default, -1 for none", r.Jitter)
	default:
		return nil
	}
}

// maxDelay limits a pause between attempts, and the delay of an event: ten years.
const maxDelay = 10 * 365 * 24 * time.Hour

// last reports whether attempt, counted from 1, is the last.
func (r Retry) last(attempt int) bool { return r.Attempts < 0 || attempt >= r.Attempts }

// pause returns the pause after attempt, counted from 1.
func (r Retry) pause(attempt int, chance func() float64) time.Duration {
	p := min(float64(r.First)*math.Pow(r.Factor, float64(attempt-1)), float64(r.Max))
	if r.Jitter > 0 {
		p *= 1 - r.Jitter*chance()
	}
	return time.Duration(p)
}
