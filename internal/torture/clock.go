package torture

import (
	"database/sql"
	"slices"
	"time"

	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/internal/torture/disk"
	"github.com/troupebus/troupe/internal/torture/story"
	"github.com/troupebus/troupe/internal/torture/talk"
	"github.com/troupebus/troupe/transports/sqlite"
)

// dueLimit is the time until an owner notices a step of its clock and publishes the events that are due.
const dueLimit = 3 * time.Second

// steppedClock returns a clock for the processes of r, or nil where the schedule has no such step or the computer
// cannot step clocks.
func (r *run) steppedClock() *disk.Clock {
	if r.machine.noClock != nil || !r.stepsClocks() {
		return nil
	}
	return new(disk.Clock)
}

func (r *run) stepsClocks() bool {
	return slices.ContainsFunc(r.schedule.Steps, func(s story.Step) bool { return s.Do == story.StepClock })
}

// stepClock steps c, which is nil where clocks cannot be stepped.
func stepClock(c *disk.Clock, s story.Step) {
	if c != nil {
		c.Step(time.Duration(s.Ahead) * time.Second)
	}
}

// settleClock first lets retries run, by a clock that may be late, and then steps the clock past the time of every
// delayed event. It waits for the answers to publishers before the step: an event that is published after the step is
// due later than the end of the schedule.
func (r *run) settleClock() bool {
	if !r.live() || !r.awaitAnswers() {
		return false
	}
	reader, err := sqlite.OpenReader(r.ctx, r.path)
	if err != nil {
		r.find("start", "a journal that is in use cannot be read: %v", err)
		return false
	}
	defer func() { _ = reader.Close() }()
	if !r.awaitRetries(reader) {
		return false
	}
	r.clock.Step(r.schedule.End())
	began := time.Now()
	for r.ctx.Err() == nil {
		left, ok := r.rows(reader, "SELECT count(*) FROM delayed")
		if !ok || left == 0 {
			return ok
		}
		r.mu.Lock()
		limit := dueLimit + 20*r.lag
		r.mu.Unlock()
		if since := time.Since(began); since > limit {
			r.find("clock", "%v after the clock was stepped past their time, %d delayed events are not in the log; the owner's log ends: %s",
				since.Round(time.Millisecond), left, r.owner.LastWords())
			return false
		}
		pause.For(r.ctx, pace)
	}
	return false
}

// awaitRetries waits until no delivery is retried or blocked. No pause is longer than stallLimit, whatever the clock
// says.
func (r *run) awaitRetries(reader *sqlite.Reader) bool {
	const answered = "SELECT count(*) FROM deliveries WHERE outcome NOT IN ('retrying', 'blocked')"
	moved, last := time.Now(), -1
	for r.ctx.Err() == nil {
		left, ok := r.rows(reader, "SELECT count(*) FROM deliveries WHERE outcome IN ('retrying', 'blocked')")
		if !ok || left == 0 {
			return ok
		}
		now, ok := r.rows(reader, answered)
		if !ok {
			return false
		}
		if now != last {
			moved, last = time.Now(), now
		}
		if since := time.Since(moved); since > stallLimit {
			a, _ := r.owner.Answer(talk.Request{Do: talk.Backlog}, time.Second)
			r.find("clock", "with a clock that is %v ahead, %d retries or blocked deliveries stand still for %v%s; the owner: %s",
				r.clock.Ahead(), left, since.Round(time.Second), r.stuck(reader), a.Text)
			return false
		}
		pause.For(r.ctx, pace)
	}
	return false
}

// rows returns the count that query selects.
func (r *run) rows(reader *sqlite.Reader, query string) (n int, ok bool) {
	err := reader.View(r.ctx, func(tx *sql.Tx) error { return tx.QueryRowContext(r.ctx, query).Scan(&n) })
	if err != nil && r.ctx.Err() == nil {
		r.find("start", "a journal that is in use cannot be read: %v", err)
	}
	return n, err == nil
}
