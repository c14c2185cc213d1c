package observer

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// redecode stores the event into which a replay decoded the message at seq: no topic has the event.
func (t *take) redecode(seq int64) error {
	e, err := row.ScanEvent(t.tx.QueryRowContext(t.ctx, "SELECT "+row.EventColumns+" FROM events WHERE seq = ?", seq))
	if err != nil {
		return err
	}
	decoded, err := wire.Redecode(e, func(string, *journal.Event) error { return nil }) // checked at the replay
	if err != nil {
		t.logger.LogAttrs(t.ctx, slog.LevelError, "a message that was decoded at its replay cannot be decoded here; if the deployables are newer, update the observer",
			slog.String("event_id", e.ID), slog.Any("error", err))
		return nil
	}
	return t.u.Append(decoded)
}

// decodeDelayed decodes delayed events of a deployable.
func decodeDelayed(e *journal.Event) ([]journal.Delayed, error) {
	var delayed []journal.Delayed
	if err := json.Unmarshal(e.Data, &delayed); err != nil {
		return nil, err
	}
	for i, d := range delayed {
		if d.ID == "" || d.Type == "" || d.Due.IsZero() {
			return nil, fmt.Errorf("delayed event %d lacks an id, a type or a time", i)
		}
	}
	return delayed, nil
}

// A delayed event has no payload here: the payload comes with the event.
const (
	observeDelayed = `
INSERT INTO delayed (due_at, event_id, type, version, source, key, correlation_id, causation_id, subscription, hops, data)
SELECT ?1, ?2, ?3, 1, '', ?4, ?5, ?6, ?7, 0, x'' WHERE NOT EXISTS (SELECT 1 FROM events WHERE id = ?2 AND type = ?3)
AND NOT EXISTS (SELECT 1 FROM cancelled WHERE event_id = ?2)
ON CONFLICT (event_id) DO NOTHING`

	observeCancelled = `
INSERT INTO cancelled (due_at, event_id, type, source, key, correlation_id, causation_id, subscription, name, cancelled_at)
VALUES (?1, ?2, ?3, '', ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (event_id) DO NOTHING`

	forgetDelayed = `
DELETE FROM delayed WHERE event_id IN (SELECT value FROM json_each(?)) AND EXISTS (SELECT 1 FROM events e WHERE e.id = event_id AND e.type = delayed.type)`
)

// delayed stores delayed and cancelled events, except those that have come already.
func (t *take) delayed(all []journal.Delayed) error {
	for _, d := range all {
		if !d.CancelledAt.IsZero() {
			_, err := t.tx.ExecContext(t.ctx, observeCancelled, row.Micros(d.Due), d.ID, d.Type, d.Key, d.CorrelationID,
				d.CausationID, d.Subscription, d.Name, row.Micros(d.CancelledAt))
			if err == nil {
				_, err = t.tx.ExecContext(t.ctx, "DELETE FROM delayed WHERE event_id = ?", d.ID)
			}
			if err != nil {
				return err
			}
			continue
		}
		if _, err := t.tx.ExecContext(t.ctx, observeDelayed, row.Micros(d.Due), d.ID, d.Type, d.Key, d.CorrelationID,
			d.CausationID, d.Subscription); err != nil {
			return err
		}
	}
	return nil
}
