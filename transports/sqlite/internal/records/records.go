package records

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// Bounds of a bundle: smaller than any transport's limit. Longer errors, stacks and reasons are cut; the dead letter
// has the whole text.
const (
	atOnce    = 1000
	maxBytes  = 512 << 10
	maxText   = 16 << 10 // JSON makes up to six bytes of one byte
	maxActs   = 10       // the newest acts
	maxReason = 2 << 10
	maxActor  = 256
)

// Bundle has the items of one event.
type Bundle struct {
	Items []json.RawMessage
	Last  int64 // id of the last item
	Full  bool  // the journal may have more

	size int
}

// read returns the items of a query as a bundle. scan returns the item of a row, and its id. after is the last id
// before.
func read(ctx context.Context, q row.Queryer, query row.Statement, after int64,
	scan func(*sql.Rows) (id int64, item any, err error)) (*Bundle, error) {
	b := &Bundle{Last: after}
	rows, err := q.QueryContext(ctx, query.Text, query.Args...)
	if err != nil {
		return b, err
	}
	defer func() { _ = rows.Close() }()
	for b.size < maxBytes && rows.Next() {
		id, item, err := scan(rows)
		if err != nil {
			return b, err
		}
		one, err := json.Marshal(item)
		if err != nil {
			return b, err
		}
		b.Items, b.Last, b.size = append(b.Items, one), id, b.size+len(one)+1
	}
	b.Full = len(b.Items) == atOnce || b.size >= maxBytes
	return b, rows.Err()
}

// OfDelayed returns the delayed or cancelled events after an id, by the queries reader.SelectDelayed and
// reader.SelectCancelled.
func OfDelayed(ctx context.Context, q row.Queryer, query string, after int64) (*Bundle, error) {
	return read(ctx, q, row.SQL(query, after, atOnce), after, func(rows *sql.Rows) (int64, any, error) {
		id, d, err := reader.ScanDelayed(rows)
		return id, d, err
	})
}

const selectRecords = `
SELECT r.id, e.id, e.type, s.name, s.was, s.rebuilds, d.outcome, d.attempts, d.started_at, d.duration, coalesce(d.error, ''),
       coalesce(p.due_at, 0), coalesce(p.state = 'parked', 0), s.retired_at IS NOT NULL, iif(d.outcome = 'dead', '', coalesce(l.error, '')), coalesce(l.stack, ''),
       coalesce(l.attempts, 0), coalesce(l.first_failed_at, 0), coalesce(l.dead_at, 0),
       CASE WHEN l.id IS NOT NULL THEN (SELECT json_group_array(json_array(at, actor, act, reason)) FROM (
           SELECT * FROM (SELECT * FROM acts WHERE dead_letter = l.id ORDER BY id DESC LIMIT ?) ORDER BY id)) END
FROM records r JOIN events e ON e.seq = r.seq JOIN subscriptions s ON s.id = r.subscription
JOIN deliveries d ON d.seq = r.seq AND d.subscription = r.subscription
LEFT JOIN pending p ON p.subscription = r.subscription AND p.key = e.key AND p.seq = r.seq
LEFT JOIN dead_letters l ON l.subscription = r.subscription AND l.seq = r.seq
WHERE r.id > ? ORDER BY r.id LIMIT ?`

// OfDeliveries returns the records after an id.
func OfDeliveries(ctx context.Context, q row.Queryer, after int64) (*Bundle, error) {
	return read(ctx, q, row.SQL(selectRecords, maxActs, after, atOnce), after, func(rows *sql.Rows) (int64, any, error) {
		r, id, err := scanRecord(rows)
		return id, r, err
	})
}

func scanRecord(rows *sql.Rows) (r journal.Record, id int64, err error) {
	var started, retry, first, dead int64
	var acts, was []byte
	err = rows.Scan(&id, &r.EventID, &r.EventType, &r.Subscription, &was, &r.Rebuilds, &r.Outcome, &r.Attempts, &started,
		&r.DurationUS, &r.Error,
		&retry, &r.Parked, &r.Retired, &r.DeadError, &r.Stack, &r.AllAttempts, &first, &dead, &acts)
	if err != nil {
		return r, id, err
	}
	r.Started, r.RetryAt, r.FirstFailed, r.DeadAt = row.TimeOrZero(started), row.TimeOrZero(retry),
		row.TimeOrZero(first), row.TimeOrZero(dead)
	for _, text := range []*string{&r.Error, &r.DeadError, &r.Stack} {
		*text = journal.Cut(*text, maxText)
	}
	if err = json.Unmarshal(was, &r.Was); err == nil && acts != nil {
		r.Acts, err = scanActs(acts)
	}
	return r, id, err
}

// scanActs decodes acts from selectRecords.
func scanActs(text []byte) ([]journal.Act, error) {
	var found []noted
	if err := json.Unmarshal(text, &found); err != nil {
		return nil, err
	}
	acts := make([]journal.Act, len(found))
	for i, n := range found {
		acts[i] = journal.Act(n)
	}
	return acts, nil
}

// noted is a journal.Act in the format of selectRecords.
type noted journal.Act

// UnmarshalJSON implements json.Unmarshaler.
func (n *noted) UnmarshalJSON(text []byte) error {
	var at int64
	fields := []any{&at, &n.Actor, &n.Act, &n.Reason}
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	n.At = row.TimeOrZero(at)
	n.Actor, n.Reason = n.Actor[:min(len(n.Actor), maxActor)], n.Reason[:min(len(n.Reason), maxReason)]
	return nil
}
