package sqlite

import (
	"time"

	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// stepNoticed is by how much the wall clock must have left the monotonic one to count as stepped.
const stepNoticed = 100 * time.Millisecond

// clockWatch notices that the wall clock was stepped, or that the machine slept: timers count neither. What is due at a
// moment of the wall clock must then be looked at again.
type clockWatch struct {
	now  func() time.Time // the wall clock
	wall time.Time        // when it was last right
	mono time.Time        // the same moment, by the monotonic clock
}

func newClockWatch(now func() time.Time) *clockWatch {
	return &clockWatch{now: now, wall: now(), mono: time.Now()}
}

// stepped reports whether the clock was stepped since stepped last said so. A clock that is slewed counts once it is
// far enough off.
func (c *clockWatch) stepped() bool {
	wall, mono := c.now(), time.Now()
	off := wall.Sub(c.wall) - mono.Sub(c.mono)
	if off.Abs() < stepNoticed {
		return false
	}
	c.wall, c.mono = wall, mono
	return true
}

// clockStepped has everything that waits for a moment look at the clock again.
func (j *Journal) clockStepped() {
	wake.Poke(j.delayedWake)
	j.follow.Load().PokeAll()
}
