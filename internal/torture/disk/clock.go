package disk

import (
	"sync/atomic"
	"time"
)

// Clock is a wall clock that can be stepped. The processes of a Clock see the steps; their monotonic clock is not
// changed. A Clock is safe for concurrent use. The zero value shows the real time.
//
// Only Go code sees the Clock: C code asks the vDSO without a system call, and gets the real time.
type Clock struct {
	ahead atomic.Int64 // nanoseconds
}

// Step sets how far the clock is ahead of the real time. A negative duration sets the clock back.
func (c *Clock) Step(ahead time.Duration) { c.ahead.Store(int64(ahead)) }

// Ahead returns the last value of Step.
func (c *Clock) Ahead() time.Duration { return time.Duration(c.ahead.Load()) }

// Now returns the time of the clock.
func (c *Clock) Now() time.Time { return time.Now().Add(c.Ahead()) }
