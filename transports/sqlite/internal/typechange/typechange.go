// Package typechange changes the event types of a subscription.
package typechange

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// Change is the difference between the types of a subscription in the journal and in the program.
type Change struct {
	Gained, Lost []string
	new          bool
}

// Of returns the change from before, the JSON list of the journal, to the types of spec. A subscription that is new,
// with before "", gains all its types.
func Of(before string, spec journal.Subscription) (c Change, err error) {
	if len(spec.Types) == 0 { // the bus's own subscription to all other types: its exceptions change
		return c, nil
	}
	var had []string
	if c.new = before == ""; !c.new {
		if err := json.Unmarshal([]byte(before), &had); err != nil {
			return c, err
		}
	}
	for _, t := range spec.Types {
		if !slices.Contains(had, t) {
			c.Gained = append(c.Gained, t)
		}
	}
	for _, t := range had {
		if !slices.Contains(spec.Types, t) {
			c.Lost = append(c.Lost, t)
		}
	}
	return c, nil
}

// Gain begins the gained types of subscription id: its cursor goes back to its start, and events of the types that
// spec wants from now on only are answered as skipped, without an attempt. Gain returns the new cursor. The beginnings
// of lost types are forgotten.
func (c Change) Gain(ctx context.Context, tx *sql.Tx, id, cursor int64, spec journal.Subscription) (int64, error) {
	if len(c.Lost) > 0 {
		_, err := tx.ExecContext(ctx, "DELETE FROM type_starts WHERE subscription = ? AND type IN (SELECT value FROM json_each(?))",
			id, row.List(c.Lost))
		if err != nil {
			return 0, err
		}
	}
	now := time.Now().UnixMicro()
	older := false
	for _, t := range c.Gained {
		switch {
		case c.new && spec.FromNow: // the start of the subscription says the same
		case spec.FromNow || slices.Contains(spec.TypesFromNow, t):
			if err := skip(ctx, tx, id, t, now); err != nil {
				return 0, err
			}
			older = true
		default:
			older = true
		}
	}
	if c.new || !older {
		return cursor, nil
	}
	err := tx.QueryRowContext(ctx, "UPDATE subscriptions SET cursor = start_seq WHERE id = ? RETURNING cursor", id).Scan(&cursor)
	return cursor, err
}

// skip answers the events of a type for subscription id, and notes when the subscription gained the type.
func skip(ctx context.Context, tx *sql.Tx, id int64, eventType string, now int64) error {
	_, err := tx.ExecContext(ctx, `
INSERT INTO deliveries (seq, subscription, outcome, attempts, started_at, duration, error)
SELECT e.seq, s.id, 'skipped', 0, ?3, 0, ?4 FROM subscriptions s CROSS JOIN events e ON e.seq > s.start_seq AND e.type = ?2
WHERE s.id = ?1 ON CONFLICT DO NOTHING`, id, eventType, now, journal.TooOld)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
INSERT INTO type_starts (subscription, type, since) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET since = excluded.since`, id, eventType, now)
	return err
}

// Starts returns when subscription id gained the types that it wants from then on only.
func Starts(ctx context.Context, q row.Queryer, id int64) (starts map[string]time.Time, err error) {
	err = row.Each(ctx, q, row.SQL("SELECT type, since FROM type_starts WHERE subscription = ?", id), func(rows *sql.Rows) error {
		var eventType string
		var since int64
		if starts == nil {
			starts = map[string]time.Time{}
		}
		err := rows.Scan(&eventType, &since)
		starts[eventType] = time.UnixMicro(since)
		return err
	})
	return starts, err
}

// Again gives a run from the start, with a row of its own, the beginnings of types of the run before, and the answers
// to older events.
func Again(ctx context.Context, tx *sql.Tx, before, run int64) error {
	_, err := tx.ExecContext(ctx, `
INSERT INTO deliveries (seq, subscription, outcome, attempts, started_at, duration, error)
SELECT d.seq, ?2, d.outcome, 0, d.started_at, 0, d.error FROM type_starts t CROSS JOIN events e ON e.type = t.type
CROSS JOIN deliveries d ON d.seq = e.seq AND d.subscription = ?1 WHERE t.subscription = ?1 AND d.outcome = 'skipped' AND d.attempts = 0`, before, run)
	if err == nil {
		_, err = tx.ExecContext(ctx, "UPDATE type_starts SET subscription = ? WHERE subscription = ?", run, before)
	}
	return err
}

// Open returns the deliveries of the lost types that have no final answer, in the order of the log. Of their events,
// Open reads the seq and the key.
func (c Change) Open(ctx context.Context, q row.Queryer, id int64) (open []Open, err error) {
	if len(c.Lost) == 0 {
		return nil, nil
	}
	query := row.SQL(`
SELECT e.seq, e.key, coalesce(d.attempts, 0), coalesce(p.failed_at, 0), d.seq IS NOT NULL
FROM subscriptions s CROSS JOIN events e ON e.seq > s.start_seq AND e.type IN (SELECT value FROM json_each(?2))
LEFT JOIN deliveries d ON d.seq = e.seq AND d.subscription = s.id
LEFT JOIN pending p ON p.subscription = s.id AND p.key = e.key AND p.seq = e.seq
WHERE s.id = ?1 AND coalesce(d.outcome, 'retrying') IN ('retrying', 'blocked') ORDER BY e.seq`, id, row.List(c.Lost))
	err = row.Each(ctx, q, query, func(rows *sql.Rows) error {
		o := Open{Event: &journal.Event{}}
		var failed int64
		err := rows.Scan(&o.Event.Seq, &o.Event.Key, &o.Attempts, &failed, &o.Again)
		o.Failed = row.TimeOrZero(failed)
		open = append(open, o)
		return err
	})
	return open, err
}

// Open is a delivery without a final answer.
type Open struct {
	Event    *journal.Event
	Attempts int
	Failed   time.Time // first failed attempt; zero before
	Again    bool      // the delivery has rows
}
