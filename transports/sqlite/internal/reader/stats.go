package reader

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// Stats counts the content of a journal.
type Stats struct {
	Events        int64                          `json:"events"`
	Delayed       int64                          `json:"delayed"`    // delayed events
	Cancelled     int64                          `json:"cancelled"`  // delayed events that were cancelled or replaced
	Deliveries    map[journal.Outcome]int64      `json:"deliveries"` // recorded deliveries
	Retries       int64                          `json:"retries"`    // attempts after the first, since the last replay
	DeadLetters   map[journal.LetterStatus]int64 `json:"dead_letters"`
	Subscriptions []SubscriptionStats            `json:"subscriptions"`       // by name
	Schedules     []ScheduleStats                `json:"schedules,omitempty"` // by name
}

// ScheduleStats is the progress of a schedule.
type ScheduleStats struct {
	Name string    `json:"name"`
	Spec string    `json:"spec"`
	Last time.Time `json:"last"` // all due times up to Last are decided; UTC
	Next time.Time `json:"next"` // the next due time; UTC
}

const selectSchedules = "SELECT name, spec, last_at, next_at FROM schedules ORDER BY name"

// addSchedule adds the schedule in a row of selectSchedules.
func (s *Stats) addSchedule(rows *sql.Rows) error {
	var one ScheduleStats
	var last, next int64
	err := rows.Scan(&one.Name, &one.Spec, &last, &next)
	one.Last, one.Next = row.TimeOrZero(last), row.TimeOrZero(next)
	s.Schedules = append(s.Schedules, one)
	return err
}

// SubscriptionStats is the progress of a bus subscription, or of a consumer group of plain Watermill use.
type SubscriptionStats struct {
	Name    string    `json:"name"`
	Kind    string    `json:"kind"`                // "bus" or "group"
	Types   []string  `json:"types"`               // consumed types
	Except  bool      `json:"except,omitempty"`    // all types but these are consumed
	Start   int64     `json:"start_seq"`           // events up to here are not wanted
	Cursor  int64     `json:"cursor"`              // all wanted events up to here have records
	Lag     int64     `json:"lag"`                 // wanted events after the cursor without a record; 0 when retired
	Retired time.Time `json:"retired_at,omitzero"` // since then no program runs the subscription

	RetiredBy  string   `json:"retired_by,omitempty"`  // the person who gave the open work up
	RetiredWhy string   `json:"retired_why,omitempty"` // the reason of that person
	Was        []string `json:"was,omitempty"`         // earlier names, the oldest first
	Version    int      `json:"version,omitempty"`     // of Handler.Rebuild
	RunOf      string   `json:"run_of,omitempty"`      // the subscription that has run from the start since
}

// Stats counts the content of the journal. Blocks that the owner has counted are not read again: Stats takes
// milliseconds for any length.
func (r *Reader) Stats(ctx context.Context) (Stats, error) {
	s := Stats{Deliveries: map[journal.Outcome]int64{}, DeadLetters: map[journal.LetterStatus]int64{}}
	err := r.View(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `
SELECT (SELECT coalesce(sum(events), 0) FROM blocks)
     + (SELECT count(*) FROM events WHERE seq > coalesce((SELECT upto FROM counted WHERE subscription = 0), 0)),
       (SELECT count(*) FROM delayed), (SELECT count(*) FROM cancelled)`).Scan(&s.Events, &s.Delayed, &s.Cancelled)
		if err != nil {
			return fmt.Errorf("count the journal's content: %w", row.Explain(err))
		}
		if err := countBy(ctx, tx, s.DeadLetters, "SELECT status, count(*) FROM dead_letters GROUP BY status"); err != nil {
			return err
		}
		if err := row.Each(ctx, tx, row.SQL(selectSchedules), s.addSchedule); err != nil {
			return err
		}
		c, err := newCounting(ctx, tx)
		if err != nil {
			return err
		}
		if s.Subscriptions, err = c.subscriptions(ctx, s.add); err != nil {
			return err
		}
		return c.recorded(ctx, s.add)
	})
	return s, err
}

// add counts n deliveries with retries in all.
func (s *Stats) add(o journal.Outcome, n, retries int64) {
	if n > 0 {
		s.Deliveries[o] += n
	}
	s.Retries += retries
}

// Subscriptions returns all subscriptions by name, also the retired ones.
func (r *Reader) Subscriptions(ctx context.Context) (subs []SubscriptionStats, err error) {
	err = r.View(ctx, func(tx *sql.Tx) error {
		subs, err = subscriptionStats(ctx, tx)
		return err
	})
	return subs, err
}

func subscriptionStats(ctx context.Context, tx *sql.Tx) ([]SubscriptionStats, error) {
	c, err := newCounting(ctx, tx)
	if err != nil {
		return nil, err
	}
	return c.subscriptions(ctx, func(journal.Outcome, int64, int64) {})
}

// countBy fills counts from rows of a name and a number.
func countBy[K ~string](ctx context.Context, q row.Queryer, counts map[K]int64, query string) error {
	return row.Each(ctx, q, row.SQL(query), func(rows *sql.Rows) error {
		var k K
		var n int64
		err := rows.Scan(&k, &n)
		counts[k] = n
		return err
	})
}

// Settled reports whether nothing is open in the journal that tx, of a View, reads: no live subscription waits for an
// event, no event is delayed, and no delivery is retrying, blocked or parked.
func Settled(ctx context.Context, tx *sql.Tx) (bool, error) {
	var open bool
	err := tx.QueryRowContext(ctx, `
SELECT EXISTS (SELECT 1 FROM pending p JOIN subscriptions s ON s.id = p.subscription WHERE s.retired_at IS NULL) OR EXISTS (SELECT 1 FROM delayed)`).Scan(&open)
	if err != nil || open {
		return false, row.Explain(err)
	}
	c, err := newCounting(ctx, tx)
	if err != nil {
		return false, err
	}
	for _, s := range c.subs {
		if s.Kind != "bus" || !s.Retired.IsZero() {
			continue
		}
		if waits, err := c.waits(ctx, s); err != nil || waits {
			return false, err
		}
	}
	return true, nil
}
