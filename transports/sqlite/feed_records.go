package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
	"github.com/troupebus/troupe/transports/sqlite/internal/records"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
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

// records returns one event with many records, once they are on disk.
func (f *feed) records(ctx context.Context) (events []*journal.Event, more bool, err error) {
	found, err := records.OfDeliveries(ctx, f.j.readers, f.pos)
	if err != nil {
		return nil, false, fmt.Errorf("read records: %w", row.Explain(err))
	}
	f.full = found.Full
	events, err = f.bundled(found, "%s-%d", journal.RecordsType, 2)
	if err == nil {
		f.pos = found.Last
	}
	return events, false, err
}

// delayed returns one event with many delayed or cancelled events: new ones since the feed was opened, and at first all
// delayed and the newest cancelled ones. Arrival needs no record: the event itself follows. Sending an entry twice is
// harmless.
func (f *feed) delayed(ctx context.Context, query, id string, next *int64) ([]*journal.Event, error) {
	found, err := records.OfDelayed(ctx, f.j.readers, query, *next)
	if err != nil {
		return nil, fmt.Errorf("read delayed events: %w", row.Explain(err))
	}
	events, err := f.bundled(found, id, journal.DelayedType, 1)
	if err == nil {
		*next = found.Last
	}
	return events, err
}

// bundled returns b as one event, once the content of b is on disk, or nothing for an empty b. The event's id follows
// the format id.
func (f *feed) bundled(b *records.Bundle, id, eventType string, version int) ([]*journal.Event, error) {
	if len(b.Items) == 0 {
		return nil, nil
	}
	if err := f.j.writer.Wait(f.j.ctx); err != nil {
		return nil, err
	}
	data, err := json.Marshal(b.Items)
	if err != nil {
		return nil, err
	}
	id = fmt.Sprintf(id, f.j.id, b.Last)
	return []*journal.Event{{
		Seq: f.pos, ID: id, Type: eventType, Version: version, Source: "bus", Key: f.j.id, CorrelationID: id,
		Time: time.Now().UTC().Truncate(time.Microsecond), Data: data,
	}}, nil
}
