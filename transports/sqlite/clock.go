package sqlite

import (
	"time"

	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// stepNoticed is the minimal difference between the wall clock and the monotonic clock that counts as a step.
const stepNoticed = 100 * time.Millisecond

// clockWatch detects a stepped wall clock, or a machine that slept: timers notice neither. After a step, all deadlines
// by the wall clock must be checked again.
type clockWatch struct {
	now  func() time.Time // the wall clock
	wall time.Time        // start of the watch, or the last step
	mono time.Time        // the same time, by the monotonic clock
}

func newClockWatch(now func() time.Time) *clockWatch {
	return &clockWatch{now: now, wall: now(), mono: time.Now()}
}

// stepped reports whether the clock was stepped since the last reported step. A slewed clock counts when its difference
// is large enough.
func (c *clockWatch) stepped() bool {
	wall, mono := c.now(), time.Now()
	off := wall.Sub(c.wall) - mono.Sub(c.mono)
	if off.Abs() < stepNoticed {
		return false
	}
	c.wall, c.mono = wall, mono
	return true
}

// clockStepped makes all goroutines that wait for a time check the clock again.
func (j *Journal) clockStepped() {
	wake.Poke(j.delayedWake)
	j.stepped.Send()
	j.follow.Load().PokeAll()
}
