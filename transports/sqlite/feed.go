package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// feed is what others are told of this journal: its place is kept as a consumer group's is.
type feed struct {
	reader
	j    *Journal
	name journal.FeedName
	id   int64 // of its row in subscriptions; 0 for the records, whose place is what is left of them
	pos  int64 // returned up to here; who calls Next has it
	full bool  // what Next returned last was as much as there may be; its
	from int64 // of the records: what is behind it in the log is on no topic, and neither is what became of it

	mu      sync.Mutex
	passed  int64
	written int64 // passed, when it was last written down
}

// Feed implements journal.Journal.
func (j *Journal) Feed(ctx context.Context, name journal.FeedName) (journal.Feed, error) {
	m := newMatch(nil, true) // everything
	m.durable = true
	f := &feed{reader: newReader(m), j: j, name: name}
	open := f.openEvents
	if name == journal.Told {
		open = f.openRecords
	}
	err := j.writer.submit(ctx, &item{work: journal.Work{Name: "journal"}, durable: true, run: func(u *unit) error { return open(ctx, u.Tx()) }})
	if err != nil {
		return nil, fmt.Errorf("sqlite: feed %s: %w", name, explain(err))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.feeds[name] != nil {
		return nil, fmt.Errorf("sqlite: feed %s is open already", name)
	}
	j.feeds[name] = f
	if name == journal.Told {
		j.told.Store(f)
	} else {
		j.addReader(&f.reader)
	}
	return f, nil
}

func (f *feed) openEvents(ctx context.Context, tx *sql.Tx) error {
	r, err := register(ctx, tx, string(f.name), "group", f.match, 0, 0)
	f.id, f.pos, f.passed = r.id, r.cursor, r.cursor
	return err
}

// noteRecords has every answer noted for the feed of records. A trigger does it, so that who decides something past the writer,
// a person who replays a dead letter in another process, is not forgotten.
const noteRecords = `
CREATE TRIGGER records_new AFTER INSERT ON deliveries BEGIN INSERT INTO records (seq, subscription) VALUES (new.seq, new.subscription); END;
CREATE TRIGGER records_changed AFTER UPDATE ON deliveries BEGIN INSERT INTO records (seq, subscription) VALUES (new.seq, new.subscription); END;
INSERT INTO records (seq, subscription) SELECT seq, subscription FROM deliveries ORDER BY seq`

func (f *feed) openRecords(ctx context.Context, tx *sql.Tx) error {
	var noted bool
	err := tx.QueryRowContext(ctx, "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'trigger' AND name = 'records_new'").Scan(&noted)
	if err == nil && !noted {
		_, err = tx.ExecContext(ctx, noteRecords)
	}
	if err == nil {
		err = tx.QueryRowContext(ctx, "SELECT coalesce((SELECT start_seq FROM subscriptions WHERE kind = 'group' AND name = ?), 0)", string(journal.Sent)).Scan(&f.from)
	}
	return err
}

// tellNobody ends the noting of records where nobody is told of them, such as after a merge: they would only grow. When the feed is
// opened again, it begins with all that there is.
func (j *Journal) tellNobody(ctx context.Context, tx *sql.Tx) error {
	if j.told.Load() != nil {
		return nil
	}
	_, err := tx.ExecContext(ctx, "DROP TRIGGER IF EXISTS records_new; DROP TRIGGER IF EXISTS records_changed; DELETE FROM records")
	return err
}

// unwritten is how much has been passed since it was last written down. It is the writer's goroutine's.
func (f *feed) unwritten() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.passed - f.written
}

// flush writes down how far the feed is. It runs in the writer's goroutine.
func (f *feed) flush(k *kept) error {
	f.mu.Lock()
	passed := f.passed
	f.written = passed
	f.mu.Unlock()
	if f.name == journal.Told {
		_, _, err := k.told.exec(passed)
		return err
	}
	_, _, err := k.cursor.exec(passed, f.id)
	return err
}

// Passed implements journal.Feed.
func (f *feed) Passed(seq int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.passed = max(f.passed, seq)
}

// Behind implements journal.Feed.
func (f *feed) Behind() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.name == journal.Told {
		return 0 // they are gathered, not counted
	}
	return max(0, f.j.tail.newest()-f.passed)
}

// Next implements journal.Feed.
func (f *feed) Next(ctx context.Context, limit int) ([]*journal.Event, error) {
	read := f.events
	if f.name == journal.Told {
		read = f.records
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
		case <-f.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-f.j.ctx.Done():
			return nil, journal.ErrClosed
		}
	}
}

func (f *feed) events(ctx context.Context, limit int) (events []*journal.Event, more bool, err error) {
	events, pos, err := f.j.read(ctx, f.pos, f.match, limit)
	more = pos != f.pos
	f.pos = pos
	return events, more, err
}

// How much one event of the feed of records carries: less than any transport's limit, whatever the errors are. What is longer of an
// error, or of a stack, is with the dead letter itself.
const (
	recordsAtOnce = 1000
	recordBytes   = 512 << 10
	recordText    = 32 << 10 // JSON makes up to six bytes of one
)

// gathering is how long records may wait for others. Nobody reacts to them, and reading and sending each by itself costs
// more than the delivery that it tells of: measured, a quarter of the processor time of a flow that is alone.
const gathering = 20 * time.Millisecond

// gather waits before records are read, unless there are plenty.
func (f *feed) gather(ctx context.Context) {
	if f.name != journal.Told || f.full {
		return
	}
	t := time.NewTimer(gathering)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-f.j.ctx.Done():
	}
}

const selectRecords = `
SELECT r.id, r.seq, e.id, e.type, s.name, d.outcome, d.attempts, d.started_at, d.duration, coalesce(d.error, ''),
       coalesce(p.due_at, 0), coalesce(p.state = 'parked', 0), coalesce(l.stack, ''), coalesce(l.first_failed_at, 0), coalesce(l.dead_at, 0)
FROM records r JOIN events e ON e.seq = r.seq JOIN subscriptions s ON s.id = r.subscription
JOIN deliveries d ON d.seq = r.seq AND d.subscription = r.subscription
LEFT JOIN pending p ON p.subscription = r.subscription AND p.key = e.key AND p.seq = r.seq
LEFT JOIN dead_letters l ON l.subscription = r.subscription AND l.seq = r.seq AND d.outcome = 'dead'
WHERE r.id > ? ORDER BY r.id LIMIT ?`

// records is one event that carries many records. Others may hear of them once they are on disk.
func (f *feed) records(ctx context.Context, _ int) (events []*journal.Event, more bool, err error) {
	rows, err := f.j.readers.QueryContext(ctx, selectRecords, f.pos, recordsAtOnce)
	if err != nil {
		return nil, false, fmt.Errorf("read records: %w", explain(err))
	}
	defer func() { _ = rows.Close() }()
	last, n, size := f.pos, 0, 0
	var found []json.RawMessage
	for ; size < recordBytes && rows.Next(); n++ {
		r, id, seq, err := scanRecord(rows)
		if err != nil {
			return nil, false, err
		}
		if last = id; seq <= f.from {
			continue
		}
		r.Error, r.Stack = r.Error[:min(len(r.Error), recordText)], r.Stack[:min(len(r.Stack), recordText)]
		one, err := json.Marshal(r)
		if err != nil {
			return nil, false, err
		}
		found, size = append(found, one), size+len(one)+1
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, false, err
	}
	f.full = n == recordsAtOnce || size >= recordBytes
	if len(found) == 0 {
		more, f.pos = last != f.pos, last
		return nil, more, nil
	}
	if err := f.j.sync.wait(); err != nil {
		return nil, false, err
	}
	data, err := json.Marshal(found)
	if err != nil {
		return nil, false, err
	}
	f.pos = last
	id := fmt.Sprintf("%s-%d", f.j.id, last)
	return []*journal.Event{{
		Seq: last, ID: id, Type: journal.RecordsType, Version: 1, Source: "bus", Key: f.j.id,
		Time: time.Now().UTC().Truncate(time.Microsecond), CorrelationID: id, Data: data,
	}}, false, nil
}

func scanRecord(rows *sql.Rows) (r journal.Record, id, seq int64, err error) {
	var started, retry, first, dead int64
	err = rows.Scan(&id, &seq, &r.EventID, &r.EventType, &r.Subscription, &r.Outcome, &r.Attempts, &started, &r.DurationUS, &r.Error,
		&retry, &r.Parked, &r.Stack, &first, &dead)
	r.Started, r.RetryAt, r.FirstFailed, r.DeadAt = micros(started), micros(retry), micros(first), micros(dead)
	return r, id, seq, err
}

// micros is a time as the journal has it; 0 is none.
func micros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
