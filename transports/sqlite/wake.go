package sqlite

import (
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// committed runs in the writer's goroutine after every commit.
func (j *Journal) committed(c *commit.Group) {
	j.unflushed = false
	j.log.Written()
	if c.Delayed {
		wake.Poke(j.delayedWake)
	}
	if len(c.Appended) > 0 {
		j.recent.Add(c.Appended)
		j.wake(c.Appended)
	}
}

// wake wakes the followers of new events.
func (j *Journal) wake(appended []*journal.Event) {
	if gap := j.tail.Append(appended); gap { // before a cursor may pass the gap
		j.wakeAll(j.tail.Newest())
	}
	j.follow.Load().Appended(appended)
}

// durable runs in the syncer's goroutine: followers of durable events may read up to head.
func (j *Journal) durable(head int64) {
	was := j.tail.Bound(true)
	j.tail.MadeDurable(head)
	j.follow.Load().MadeDurable(was)
	if f := j.records.Load(); f != nil { // a reaction without new events has a record, too
		f.Poke()
	}
}

// wakeAll wakes every follower to read up to head: another connection wrote, and the types of its events are unknown.
func (j *Journal) wakeAll(head int64) { j.follow.Load().LookTo(head) }

// addReader adds r to the followers that a commit wakes, and wakes r to read up to the head. j.mu is held.
func (j *Journal) addReader(r *wake.Follower) {
	j.follow.Store(j.follow.Load().With(r))
	r.LookTo(j.tail.Newest())
}

func (j *Journal) removeReader(r *wake.Follower) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.follow.Store(j.follow.Load().Without(r))
}
