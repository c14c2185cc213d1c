package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/records"
	"github.com/troupebus/troupe/transports/sqlite/internal/registry"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// feed is an outgoing stream of this journal: its events, or records of its deliveries. Its position is stored like a
// consumer group's.
type feed struct {
	wake.Follower
	j    *Journal
	name journal.FeedName
	id   int64 // of the row in subscriptions; 0 for records, which are deleted once sent
	pos  int64 // returned up to here; for the caller of Next
	full bool  // the last result of Next was full; for the caller of Next
	next int64 // records: delayed events up to here were returned since the feed was opened
	gone int64 // records: the same for cancelled events

	mu      sync.Mutex
	passed  int64
	written int64 // passed at the last write
}

// Feed implements journal.Journal.
func (j *Journal) Feed(ctx context.Context, name journal.FeedName) (journal.Feed, error) {
	m := wake.NewMatch(nil, true) // all types
	m.Durable = true
	f := &feed{Follower: wake.NewFollower(m), j: j, name: name}
	open := f.openEvents
	if name == journal.FeedRecords {
		open = f.openRecords
	}
	err := j.writer.Submit(ctx, &commit.Item{Work: journal.Work{Name: "journal"}, Durable: true, Run: func(u *commit.Unit) error { return open(ctx, u.Tx()) }})
	if err == nil { // noteRecords may have changed the schema
		err = j.writer.Submit(ctx, &commit.Item{Alone: func(c *sql.Conn) error { return j.markAgain(ctx, c, false) }})
	}
	if err != nil {
		return nil, fmt.Errorf("feed %s: %w", name, row.Explain(err))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.feeds[name] != nil {
		return nil, fmt.Errorf("sqlite: feed %s is open already", name)
	}
	j.feeds[name] = f
	if name == journal.FeedRecords {
		j.records.Store(f)
	} else {
		j.addReader(&f.Follower)
	}
	return f, nil
}

func (f *feed) openEvents(ctx context.Context, tx *sql.Tx) error {
	r, err := registry.Group(ctx, tx, string(journal.FeedEvents), f.Match)
	if err != nil {
		return err
	}
	at := r.Cursor
	err = tx.QueryRowContext(ctx, "SELECT max(cursor, ?1) FROM sent WHERE topic = ?2 AND base <= ?1", r.Cursor, f.name.Topic()).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	f.id, f.pos, f.passed, f.written = r.ID, at, at, at
	return err
}

func (f *feed) openRecords(ctx context.Context, tx *sql.Tx) (err error) {
	f.gone, err = records.Begin(ctx, tx)
	return err
}

// stopRecords stops adding records for a feed that is not open, such as after a merge: they would only grow. When the
// feed is opened again, it begins with all deliveries.
func (j *Journal) stopRecords(ctx context.Context, tx *sql.Tx) error {
	if j.records.Load() != nil {
		return nil
	}
	return records.End(ctx, tx)
}

// unwritten returns the number of seqs, or ids of records, passed since the last write. For the writer's goroutine.
func (f *feed) unwritten() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.passed - f.written
}

// flush returns the position to write.
func (f *feed) flush() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written = f.passed
	return f.passed
}

// Passed implements journal.Feed.
func (f *feed) Passed(seq int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.passed = max(f.passed, seq)
}

// Lag implements journal.Feed.
func (f *feed) Lag() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.name == journal.FeedRecords {
		return 0 // records are gathered, not counted
	}
	return max(0, f.j.tail.Newest()-f.passed)
}

// Next implements journal.Feed.
func (f *feed) Next(ctx context.Context, limit int) ([]*journal.Event, error) {
	read := f.events
	if f.name == journal.FeedRecords {
		read = f.nextRecords
	}
	for {
		f.gather(ctx)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		events, more, err := read(ctx, limit)
		switch {
		case f.j.ctx.Err() != nil:
			return nil, journal.ErrClosed
		case err != nil || len(events) > 0:
			return events, err
		case more:
			continue
		}
		select {
		case <-f.Wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-f.j.ctx.Done():
			return nil, journal.ErrClosed
		}
	}
}

func (f *feed) events(ctx context.Context, limit int) (events []*journal.Event, more bool, err error) {
	events, pos, err := f.j.read(ctx, f.pos, f.Match, limit)
	more = pos != f.pos
	f.pos = pos
	return events, more, err
}
