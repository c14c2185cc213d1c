package sqlite

import (
	"math"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/count"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// cursorEvery is the number of events after which the cursors are written. When the journal is opened, subscriptions
// read the events after their cursors again: seldom writes have no other cost.
const cursorEvery = 1000

// flushCursors writes the cursors, now and then. It runs in the writer's goroutine, at the start of a group.
func (j *Journal) flushCursors() error {
	head := j.tail.Newest()
	all := head-j.flushed >= cursorEvery || j.flushed == 0 || j.unflushed                  // after a rollback
	if records := j.records.Load(); records != nil && records.unwritten() >= cursorEvery { // retries add records only
		all = true
	}
	if err := j.memory.flush(all); err != nil {
		return err
	}
	j.unflushed = true
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, g := range j.groups {
		if pos, dirty := g.unflushed(); dirty || all {
			if _, _, err := j.kept.cursor.Exec(pos, g.id); err != nil {
				return err
			}
		}
	}
	if !all {
		return nil
	}
	for _, s := range j.subs {
		if !s.follows { // its cursor is not valid yet
			continue
		}
		if _, _, err := j.kept.cursor.Exec(s.cursor(), s.id); err != nil {
			return err
		}
	}
	if err := j.flushFeeds(); err != nil {
		return err
	}
	if head/count.BlockSize != j.flushed/count.BlockSize {
		wake.Poke(j.count)
	}
	j.flushed = head
	return nil
}

// beginGroup runs in the writer's goroutine at the start of every group, inside the transaction.
func (j *Journal) beginGroup() error {
	if err := j.log.Begin(); err != nil {
		return err
	}
	return j.flushCursors()
}

// flushFeeds writes the positions of the feeds. It runs in the writer's goroutine.
func (j *Journal) flushFeeds() error {
	var sent []*feed
	last := int64(math.MaxInt64)
	for _, f := range j.feeds {
		passed := f.flush()
		if f.name == journal.FeedRecords {
			if _, _, err := j.kept.unrecord.Exec(passed); err != nil {
				return err
			}
			continue
		}
		sent, last = append(sent, f), min(last, passed)
	}
	for i, f := range sent {
		if i == 0 {
			if _, _, err := j.kept.cursor.Exec(last, f.id); err != nil {
				return err
			}
		}
		if topic := f.name.Topic(); topic != "" {
			if _, _, err := j.kept.sent.Exec(topic, f.written, last); err != nil {
				return err
			}
		}
	}
	return nil
}
