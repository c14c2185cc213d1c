package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

const eventColumns = `seq, id, type, version, source, key, time, correlation_id, causation_id, subscription, hops, metadata, data`

type scanner interface{ Scan(dest ...any) error }

// scanEvent reads a row of eventColumns, and what more is asked for.
func scanEvent(row scanner, more ...any) (*journal.Event, error) {
	var e journal.Event
	var micros int64
	var metadata sql.NullString
	dest := append([]any{&e.Seq, &e.ID, &e.Type, &e.Version, &e.Source, &e.Key, &micros, &e.CorrelationID, &e.CausationID,
		&e.Subscription, &e.Hops, &metadata, &e.Data}, more...)
	if err := row.Scan(dest...); err != nil {
		return nil, err
	}
	e.Time = instant(micros)
	if metadata.Valid {
		if err := json.Unmarshal([]byte(metadata.String), &e.Metadata); err != nil {
			return nil, fmt.Errorf("metadata of event %d: %w", e.Seq, err)
		}
	}
	return &e, nil
}

// The first and the last instant that RFC 3339 can write, and so JSON and every other program.
var (
	earliest = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Microsecond)
)

// instant is a time as the journal has it, in microseconds. A row that somebody wrote past the journal may have any number: what
// cannot be shown counts as the nearest instant that can.
func instant(n int64) time.Time {
	return time.UnixMicro(min(max(n, earliest.UnixMicro()), latest.UnixMicro())).UTC()
}

// loadTail has the newest events in memory: what the subscriptions have to look at again, since their cursors are written
// seldom, is read once, rather than once by each of them.
func (j *Journal) loadTail(ctx context.Context) error {
	rows, err := j.readers.QueryContext(ctx, "SELECT "+eventColumns+" FROM events WHERE seq > ? ORDER BY seq DESC", j.tail.head-cursorEvery)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for j.tail.bytes < tailBytes && rows.Next() {
		e, err := scanEvent(rows)
		if err != nil {
			return err
		}
		if e.Seq != j.tail.head-int64(len(j.tail.events)) {
			break // a gap: what is behind it is read from the disk
		}
		j.tail.events = append(j.tail.events, e)
		j.tail.bytes += sizeOf(e)
	}
	slices.Reverse(j.tail.events)
	return rows.Err()
}

// event reads one event.
func (j *Journal) event(ctx context.Context, seq int64) (*journal.Event, error) {
	e, err := scanEvent(j.readers.QueryRowContext(ctx, "SELECT "+eventColumns+" FROM events WHERE seq = ?", seq))
	if err != nil {
		return nil, fmt.Errorf("read event %d: %w", seq, explain(err))
	}
	return e, nil
}

// chunk bounds how much of the log one query looks at, so that a reader of a rare type gives way to others.
const chunk = 10_000

// sizeOf is what e takes up in memory, as far as it is not the same for all.
func sizeOf(e *journal.Event) int {
	n := len(e.Data)
	for k, v := range e.Metadata {
		n += len(k) + len(v)
	}
	return n
}

// read returns the next events behind pos that m wants, at most limit, and how far it looked.
func (j *Journal) read(ctx context.Context, pos int64, m *match, limit int) ([]*journal.Event, int64, error) {
	return j.readWithin(ctx, pos, m, limit, tailBytes)
}

// readWithin is read with a bound on the bytes of the events, which the last one may exceed.
func (j *Journal) readWithin(ctx context.Context, pos int64, m *match, limit, most int) ([]*journal.Event, int64, error) {
	if events, next, ok := j.tail.read(nil, pos, m, limit, most); ok {
		return events, next, nil
	}
	upTo := min(pos+chunk, j.tail.bound(m.durable))
	query, args := "SELECT "+eventColumns+" FROM events WHERE seq > ? AND seq <= ?", []any{pos, upTo}
	if len(m.types) > 0 {
		not := ""
		if m.except {
			not = " NOT"
		}
		query += " AND type" + not + " IN (?" + strings.Repeat(", ?", len(m.types)-1) + ")"
		for t := range m.types {
			args = append(args, t)
		}
	}
	rows, err := j.readers.QueryContext(ctx, query+" ORDER BY seq LIMIT ?", append(args, limit)...)
	if err != nil {
		return nil, pos, fmt.Errorf("read events: %w", explain(err))
	}
	defer func() { _ = rows.Close() }()
	var events []*journal.Event
	bytes := 0
	for bytes < most && rows.Next() { // a thousand of the largest would be a gigabyte
		e, err := scanEvent(rows)
		if err != nil {
			return nil, pos, err
		}
		events = append(events, e)
		bytes += sizeOf(e)
	}
	if err := rows.Err(); err != nil {
		return nil, pos, fmt.Errorf("read events: %w", explain(err))
	}
	if len(events) == limit || bytes >= most {
		upTo = events[len(events)-1].Seq
	}
	return events, upTo, nil
}
