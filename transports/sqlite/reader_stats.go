package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// Stats counts what is in a journal.
type Stats struct {
	Events        int64                          `json:"events"`
	Delayed       int64                          `json:"delayed"`    // events that are still to come
	Deliveries    map[journal.Outcome]int64      `json:"deliveries"` // recorded ones
	Retries       int64                          `json:"retries"`    // attempts beyond each delivery's first, without those before a replay
	DeadLetters   map[journal.LetterStatus]int64 `json:"dead_letters"`
	Subscriptions []SubscriptionStats            `json:"subscriptions"` // by name
}

// SubscriptionStats is a subscription of a bus, or a consumer group of plain Watermill use, and how far it is.
type SubscriptionStats struct {
	Name    string    `json:"name"`
	Kind    string    `json:"kind"`                // "bus" or "group"
	Types   []string  `json:"types"`               // that it consumes
	Except  bool      `json:"except,omitempty"`    // it consumes all types but these
	Start   int64     `json:"start_seq"`           // it wants nothing up to here
	Cursor  int64     `json:"cursor"`              // up to here, everything is recorded
	Lag     int64     `json:"lag"`                 // events that it wants, behind the cursor and without a record; 0 when it is retired
	Retired time.Time `json:"retired_at,omitzero"` // no program runs it any more since then
}

// Stats counts. It reads every delivery: fractions of a second for a million.
func (r *Reader) Stats(ctx context.Context) (Stats, error) {
	s := Stats{Deliveries: map[journal.Outcome]int64{}, DeadLetters: map[journal.LetterStatus]int64{}}
	err := r.View(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `
SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM delayed), (SELECT coalesce(sum(attempts - 1), 0) FROM deliveries WHERE attempts > 1)`).
			Scan(&s.Events, &s.Delayed, &s.Retries)
		if err != nil {
			return fmt.Errorf("sqlite: stats: %w", explain(err))
		}
		if err := countBy(ctx, tx, s.Deliveries, "SELECT outcome, count(*) FROM deliveries GROUP BY outcome"); err != nil {
			return err
		}
		if err := countBy(ctx, tx, s.DeadLetters, "SELECT status, count(*) FROM dead_letters GROUP BY status"); err != nil {
			return err
		}
		s.Subscriptions, err = subscriptionStats(ctx, tx)
		return err
	})
	return s, err
}

// Subscriptions returns all of them, also those that are retired, by name.
func (r *Reader) Subscriptions(ctx context.Context) (subs []SubscriptionStats, err error) {
	err = r.View(ctx, func(tx *sql.Tx) error {
		subs, err = subscriptionStats(ctx, tx)
		return err
	})
	return subs, err
}

// countBy fills counts from rows of a name and a number.
func countBy[K ~string](ctx context.Context, q queryer, counts map[K]int64, query string) error {
	return each(ctx, q, statement{query: query}, func(rows *sql.Rows) error {
		var k K
		var n int64
		err := rows.Scan(&k, &n)
		counts[k] = n
		return err
	})
}

// wanted is the condition under which subscription s of the bus wants event e. Plain topics belong to their consumer
// groups.
const wanted = `(
	CASE s.except_of WHEN 0 THEN e.type IN (SELECT value FROM json_each(s.types))
	ELSE e.type NOT IN (SELECT value FROM json_each(s.types))
	 AND e.type NOT IN (SELECT t.value FROM subscriptions g, json_each(g.types) t WHERE g.kind = 'group') END)`

const selectSubscriptions = `
SELECT s.name, s.kind, s.types, s.except_of, s.start_seq, s.cursor, coalesce(s.retired_at, 0),
       CASE WHEN s.retired_at IS NULL THEN (
           SELECT count(*) FROM events e WHERE e.seq > s.cursor AND ` + wanted + `
              AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = e.seq AND d.subscription = s.id)) ELSE 0 END
FROM subscriptions s ORDER BY s.name`

func subscriptionStats(ctx context.Context, q queryer) ([]SubscriptionStats, error) {
	out := []SubscriptionStats{}
	err := each(ctx, q, statement{query: selectSubscriptions}, func(rows *sql.Rows) error {
		var s SubscriptionStats
		var types string
		var retired int64
		if err := rows.Scan(&s.Name, &s.Kind, &types, &s.Except, &s.Start, &s.Cursor, &retired, &s.Lag); err != nil {
			return err
		}
		if retired > 0 {
			s.Retired = instant(retired)
		}
		out = append(out, s)
		return json.Unmarshal([]byte(types), &out[len(out)-1].Types)
	})
	return out, err
}

// Settled reports whether nothing is open in the journal that tx, of a View, reads: no event waits for a subscription
// that a program ran last, none is delayed, and no delivery waits for another attempt, for another event, or for a
// person.
func Settled(ctx context.Context, tx *sql.Tx) (bool, error) {
	var open bool
	err := tx.QueryRowContext(ctx, `
SELECT EXISTS (SELECT 1 FROM pending p JOIN subscriptions s ON s.id = p.subscription WHERE s.retired_at IS NULL) OR EXISTS (SELECT 1 FROM delayed)`).Scan(&open)
	if err != nil || open {
		return false, explain(err)
	}
	subs, err := subscriptionStats(ctx, tx)
	if err != nil {
		return false, err
	}
	for _, s := range subs {
		if s.Kind == "bus" && s.Lag > 0 {
			return false, nil
		}
	}
	return true, nil
}
