package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/tail"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// loadTail reads the newest events into memory, once for all subscriptions: each of them has to look at these events
// again, because cursors are written seldom.
func (j *Journal) loadTail(ctx context.Context, head int64) error {
	rows, err := j.readers.QueryContext(ctx, "SELECT "+row.EventColumns+" FROM events WHERE seq > ? ORDER BY seq DESC", head-cursorEvery)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var events []*journal.Event
	for bytes := 0; bytes < tail.MaxBytes && rows.Next(); {
		e, err := row.ScanEvent(rows)
		if err != nil {
			return err
		}
		if e.Seq != head-int64(len(events)) {
			break // a gap: subscriptions read older events from the disk
		}
		events = append(events, e)
		bytes += row.EventSize(e)
	}
	slices.Reverse(events)
	j.tail.Begin(head, events)
	return rows.Err()
}

// event reads one event.
func (j *Journal) event(ctx context.Context, seq int64) (*journal.Event, error) {
	e, err := row.ScanEvent(j.readers.QueryRowContext(ctx, "SELECT "+row.EventColumns+" FROM events WHERE seq = ?", seq))
	if err != nil {
		return nil, fmt.Errorf("read event %d: %w", seq, row.Explain(err))
	}
	return e, nil
}

// chunk bounds the seqs that one query searches, so that the reader of a rare type yields to others.
const chunk = 10_000

// read returns at most limit of the next events after pos that m wants, and the last seq that it searched.
func (j *Journal) read(ctx context.Context, pos int64, m *wake.Match, limit int) ([]*journal.Event, int64, error) {
	return j.readWithin(ctx, pos, m, limit, tail.MaxBytes)
}

// readWithin is read with a bound on the bytes of the events. The last event may exceed the bound.
func (j *Journal) readWithin(ctx context.Context, pos int64, m *wake.Match, limit, most int) ([]*journal.Event,
	int64, error) {
	if events, next, ok := j.tail.Read(nil, pos, m, limit, most); ok {
		return events, next, nil
	}
	upTo := min(pos+chunk, j.tail.Bound(m.Durable))
	query, args := "SELECT "+row.EventColumns+" FROM events WHERE seq > ? AND seq <= ?", []any{pos, upTo}
	if len(m.Types) > 0 {
		not := ""
		if m.Except {
			not = " NOT"
		}
		query += " AND type" + not + " IN (?" + strings.Repeat(", ?", len(m.Types)-1) + ")"
		for t := range m.Types {
			args = append(args, t)
		}
	}
	rows, err := j.readers.QueryContext(ctx, query+" ORDER BY seq LIMIT ?", append(args, limit)...)
	if err != nil {
		return nil, pos, fmt.Errorf("read events: %w", row.Explain(err))
	}
	defer func() { _ = rows.Close() }()
	var events []*journal.Event
	bytes := 0
	for bytes < most && rows.Next() { // a thousand of the largest events would be a gigabyte
		e, err := row.ScanEvent(rows)
		if err != nil {
			return nil, pos, err
		}
		events = append(events, e)
		bytes += row.EventSize(e)
	}
	if err := rows.Err(); err != nil {
		return nil, pos, fmt.Errorf("read events: %w", row.Explain(err))
	}
	if len(events) == limit || bytes >= most {
		upTo = events[len(events)-1].Seq
	}
	return events, upTo, nil
}
