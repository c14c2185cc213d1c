// Package backoff computes the pauses between attempts. The package imports the standard library only.
package backoff

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// Policy has the fields of bus.Retry, which says what they mean.
type Policy struct {
	Attempts int
	First    time.Duration
	Max      time.Duration
	Factor   float64
	Jitter   float64
}

// Default is the policy of transactional handlers without another.
var Default = Policy{Attempts: 8, First: 100 * time.Millisecond, Max: time.Minute, Factor: 2, Jitter: 0.2}

// External is the policy of external handlers without another. The attempts span about 5 hours.
var External = Policy{Attempts: 46, First: 100 * time.Millisecond, Max: 10 * time.Minute, Factor: 2, Jitter: 0.2}

// Longest limits a pause between attempts, and the delay of an event: ten years.
const Longest = 10 * 365 * 24 * time.Hour

// Or returns p with the zero fields set to those of d.
func (p Policy) Or(d Policy) Policy {
	p.Attempts = cmp.Or(p.Attempts, d.Attempts)
	p.First = cmp.Or(p.First, d.First)
	p.Max = cmp.Or(p.Max, d.Max)
	p.Factor = cmp.Or(p.Factor, d.Factor)
	p.Jitter = cmp.Or(p.Jitter, d.Jitter)
	return p
}

// Validate returns the first mistake in p.
func (p Policy) Validate() error {
	switch {
	case p.Attempts < -1:
		return fmt.Errorf("Retry.Attempts is %d: want 1 or more, 0 for the default, -1 for a single attempt", p.Attempts)
	case p.First < 0 || p.Max < 0:
		return fmt.Errorf("Retry.First is %v and Retry.Max %v: want 0 for the default, or more", p.First, p.Max)
	case p.First > Longest || p.Max > Longest:
		return fmt.Errorf("Retry.First is %v and Retry.Max %v: want no more than %v", p.First, p.Max, Longest)
	case p.Factor < 0 || p.Factor > 0 && p.Factor < 1:
		return fmt.Errorf("Retry.Factor is %v: want 1 or more, 0 for the default", p.Factor)
	case p.Jitter > 1:
		return fmt.Errorf("Retry.Jitter is %v: want up to 1, 0 for the default, -1 for none", p.Jitter)
	default:
		return nil
	}
}

// Last reports whether attempt, counted from 1, is the last.
func (p Policy) Last(attempt int) bool { return p.Attempts < 0 || attempt >= p.Attempts }

// Pause returns the pause after attempt, counted from 1. chance returns a random number in [0, 1).
func (p Policy) Pause(attempt int, chance func() float64) time.Duration {
	pause := min(float64(p.First)*math.Pow(p.Factor, float64(attempt-1)), float64(p.Max))
	if p.Jitter > 0 {
		pause *= 1 - p.Jitter*chance()
	}
	return time.Duration(pause)
}
