package disk

import (
	"sync/atomic"
	"time"
)

// Clock is a wall clock that can be stepped. Its processes see the steps; their monotonic clock goes on as it is. It is safe for
// concurrent use. The zero value is right.
//
// It is the clock of Go code only: C code of such a process asks the kernel without a system call, and gets the real time.
type Clock struct {
	ahead atomic.Int64 // nanoseconds
}

// Step sets by how much the clock is ahead of the real one: by a negative duration, it is behind.
func (c *Clock) Step(ahead time.Duration) { c.ahead.Store(int64(ahead)) }

// Ahead returns what Step set.
func (c *Clock) Ahead() time.Duration { return time.Duration(c.ahead.Load()) }

// Now is the time by the clock.
func (c *Clock) Now() time.Time { return time.Now().Add(c.Ahead()) }
