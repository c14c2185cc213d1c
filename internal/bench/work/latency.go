package work

import (
	"slices"
	"time"
)

// Percentile returns the smallest duration of d that at least so many percent of the durations do not exceed. It
// sorts d, which must not be empty.
func Percentile(d []time.Duration, percent int) time.Duration {
	slices.Sort(d)
	return d[max(0, (len(d)*percent+99)/100-1)]
}

// Milliseconds returns d in milliseconds.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
