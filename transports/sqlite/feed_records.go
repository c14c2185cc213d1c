package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// Bounds of one event of the feed of records: smaller than any transport's limit. Longer errors, stacks and reasons are
// cut; the dead letter has the whole text.
const (
	recordsAtOnce = 1000
	recordBytes   = 512 << 10
	recordText    = 16 << 10 // JSON makes up to six bytes of one byte
	recordActs    = 10       // the newest acts
	recordReason  = 2 << 10
	recordActor   = 256

	recordCancelled = 10_000 // the newest cancelled events, repeated when the feed is opened
)

// gathering is the time that records wait for more. Reactions never wait for records. Sending every record alone costs
// more than its delivery: measured, a quarter of the processor time of a single flow.
const gathering = 20 * time.Millisecond

// gather waits before reading records, unless the last result was full.
func (f *feed) gather(ctx context.Context) {
	if f.name != journal.FeedRecords && f.name != journal.Rest || f.full {
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

// nextRecords returns the next delayed events or records.
func (f *feed) nextRecords(ctx context.Context, _ int) (events []*journal.Event, more bool, err error) {
	for _, of := range []struct {
		query, id string
		next      *int64
	}{{reader.SelectDelayed, "%s-%d", &f.next}, {reader.SelectCancelled, "%s-cancelled-%d", &f.gone}} {
		if events, err = f.delayed(ctx, of.query, of.id, of.next); err != nil || len(events) > 0 {
			return events, false, err
		}
	}
	return f.records(ctx)
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

// records returns one event with many records, once they are on disk.
func (f *feed) records(ctx context.Context) (events []*journal.Event, more bool, err error) {
	rows, err := f.j.readers.QueryContext(ctx, selectRecords, recordActs, f.pos, recordsAtOnce)
	if err != nil {
		return nil, false, fmt.Errorf("read records: %w", row.Explain(err))
	}
	defer func() { _ = rows.Close() }()
	last, n := f.pos, 0
	var found bundle
	for ; found.size < recordBytes && rows.Next(); n++ {
		r, id, err := scanRecord(rows)
		if err == nil {
			err = found.add(r)
		}
		if err != nil {
			return nil, false, err
		}
		last = id
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, false, err
	}
	f.full = n == recordsAtOnce || found.size >= recordBytes
	if len(found.items) == 0 {
		return nil, false, nil
	}
	events, err = f.bundled(&found, journal.Event{Seq: last, ID: fmt.Sprintf("%s-%d", f.j.id, last), Type: journal.RecordsType, Version: 2})
	if err == nil {
		f.pos = last
	}
	return events, false, err
}

// delayed returns one event with many delayed or cancelled events: new ones since the feed was opened, and at first all
// delayed and the newest cancelled ones. Arrival needs no record: the event itself follows. Sending an entry twice is
// harmless.
func (f *feed) delayed(ctx context.Context, query, id string, next *int64) ([]*journal.Event, error) {
	rows, err := f.j.readers.QueryContext(ctx, query, *next, recordsAtOnce)
	if err != nil {
		return nil, fmt.Errorf("read delayed events: %w", row.Explain(err))
	}
	defer func() { _ = rows.Close() }()
	last := *next
	var found bundle
	for found.size < recordBytes && rows.Next() {
		id, d, err := reader.ScanDelayed(rows)
		if err == nil {
			err = found.add(d)
		}
		if err != nil {
			return nil, err
		}
		last = id
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(found.items) == 0 {
		return nil, err
	}
	id = fmt.Sprintf(id, f.j.id, last)
	events, err := f.bundled(&found, journal.Event{Seq: f.pos, ID: id, Type: journal.DelayedType, Version: 1})
	if err == nil {
		*next = last
	}
	return events, err
}

// bundle is the payload of an event with many items.
type bundle struct {
	items []json.RawMessage
	size  int
}

func (b *bundle) add(item any) error {
	one, err := json.Marshal(item)
	b.items, b.size = append(b.items, one), b.size+len(one)+1
	return err
}

// bundled returns e with the payload b, once the content of b is on disk.
func (f *feed) bundled(b *bundle, e journal.Event) ([]*journal.Event, error) {
	if err := f.j.writer.Wait(f.j.ctx); err != nil {
		return nil, err
	}
	data, err := json.Marshal(b.items)
	if err != nil {
		return nil, err
	}
	e.Source, e.Key, e.CorrelationID, e.Data = "bus", f.j.id, e.ID, data
	e.Time = time.Now().UTC().Truncate(time.Microsecond)
	return []*journal.Event{&e}, nil
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
		*text = journal.Cut(*text, recordText)
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
	n.Actor, n.Reason = n.Actor[:min(len(n.Actor), recordActor)], n.Reason[:min(len(n.Reason), recordReason)]
	return nil
}
