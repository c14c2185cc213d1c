package reader

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/dispatch"
	"github.com/troupebus/troupe/transports/sqlite/internal/count"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// inHand is larger than the number of events that a subscription can have read from the log without recording answers:
// after so many unanswered events in a row, all later ones are unanswered.
const inHand = 4 * (dispatch.Admitted + dispatch.LaneLength)

// counting reads the progress of the subscriptions of a journal, in one transaction.
type counting struct {
	tx       *sql.Tx
	head     int64 // the newest event
	blocks   int64 // the log is counted up to here
	observer bool
	topics   []string // of plain consumer groups
	subs     []*countedSub
}

// addFunc adds n deliveries with an outcome, and their retries.
type addFunc func(o journal.Outcome, n, retries int64)

// countedSub is a subscription with the counts of its deliveries.
type countedSub struct {
	SubscriptionStats
	id, upto int64
}

const selectSubscriptions = `
SELECT s.id, s.name, s.kind, s.types, s.except_of, s.start_seq, s.cursor, coalesce(s.retired_at, 0), coalesce(c.upto, 0),
       s.retired_by, s.retired_why, s.was, s.version, s.run_of
FROM subscriptions s LEFT JOIN counted c ON c.subscription = s.id ORDER BY s.name`

func newCounting(ctx context.Context, tx *sql.Tx) (*counting, error) {
	c := &counting{tx: tx}
	err := tx.QueryRowContext(ctx, `
SELECT coalesce((SELECT max(seq) FROM events), 0), coalesce((SELECT upto FROM counted WHERE subscription = 0), 0), EXISTS (SELECT 1 FROM observer)`).
		Scan(&c.head, &c.blocks, &c.observer)
	if err != nil {
		return nil, row.Explain(err)
	}
	if c.topics, err = GroupTopics(ctx, tx); err != nil {
		return nil, row.Explain(err)
	}
	return c, row.Each(ctx, tx, row.SQL(selectSubscriptions), func(rows *sql.Rows) error {
		s := &countedSub{}
		var types, was string
		var retired int64
		if err := rows.Scan(&s.id, &s.Name, &s.Kind, &types, &s.Except, &s.Start, &s.Cursor, &retired, &s.upto,
			&s.RetiredBy, &s.RetiredWhy, &was, &s.Version, &s.RunOf); err != nil {
			return err
		}
		if retired > 0 {
			s.Retired = row.Time(retired)
		} else {
			s.RetiredBy, s.RetiredWhy = "", ""
		}
		c.subs = append(c.subs, s)
		return errors.Join(json.Unmarshal([]byte(types), &s.Types), json.Unmarshal([]byte(was), &s.Was))
	})
}

// subscriptions returns all subscriptions with their lag, and calls add with the recorded deliveries after their
// cursors.
func (c *counting) subscriptions(ctx context.Context, add addFunc) ([]SubscriptionStats, error) {
	out := make([]SubscriptionStats, 0, len(c.subs))
	for _, s := range c.subs {
		if s.Retired.IsZero() {
			err := c.behind(ctx, s, func(o journal.Outcome, n, retries int64) {
				switch {
				case o == "":
					s.Lag += n
				case !c.observer: // recorded has counted an observer's
					add(o, n, retries)
				}
			})
			if err != nil {
				return nil, err
			}
		}
		out = append(out, s.SubscriptionStats)
	}
	return out, nil
}

// recorded calls add with the counted deliveries, and the recorded ones up to the cursors. For a retired subscription,
// and in an observer's journal, these are all deliveries.
func (c *counting) recorded(ctx context.Context, add addFunc) error {
	var n [7]int64
	err := c.tx.QueryRowContext(ctx, `
SELECT coalesce(sum(done), 0), coalesce(sum(skipped), 0), coalesce(sum(retrying), 0), coalesce(sum(blocked), 0), coalesce(sum(dead), 0),
       coalesce(sum(dropped), 0), coalesce(sum(retries), 0) FROM counted`).Scan(&n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6])
	if err != nil {
		return row.Explain(err)
	}
	outcomes := []journal.Outcome{
		journal.Done, journal.Skipped, journal.Retrying, journal.Blocked, journal.Dead, journal.Dropped,
	}
	for i, o := range outcomes {
		add(o, n[i], 0)
	}
	add(journal.Done, 0, n[6])
	bounds := map[int64][][2]int64{} // by the counted seq: subscription and bound
	for _, s := range c.subs {
		bound := s.Cursor
		if c.observer || !s.Retired.IsZero() {
			bound = c.head
		}
		if s.Kind == "bus" && bound > s.upto {
			bounds[s.upto] = append(bounds[s.upto], [2]int64{s.id, bound})
		}
	}
	for upto, of := range bounds {
		last := slices.MaxFunc(of, func(a, b [2]int64) int { return int(a[1] - b[1]) })[1]
		text, err := json.Marshal(of)
		if err != nil {
			return err
		}
		query := row.SQL(`
WITH s AS MATERIALIZED (SELECT value ->> 0 AS id, value ->> 1 AS bound FROM json_each(?3))
SELECT d.outcome, count(*), sum(max(d.attempts - 1, 0)) FROM deliveries d CROSS JOIN s ON s.id = d.subscription
WHERE d.seq > ?1 AND d.seq <= ?2 AND d.seq <= s.bound GROUP BY d.outcome`, upto, last, string(text))
		if err := eachCount(ctx, c.tx, query, add); err != nil {
			return err
		}
	}
	return nil
}

func eachCount(ctx context.Context, tx *sql.Tx, query row.Statement, add addFunc) error {
	return row.Each(ctx, tx, query, func(rows *sql.Rows) error {
		var o journal.Outcome
		var n, retries int64
		err := rows.Scan(&o, &n, &retries)
		add(o, n, retries)
		return err
	})
}

// wants returns the SQL condition for the events that s wants, and the argument. Topics of consumer groups are left
// out.
func (c *counting) wants(s *countedSub) (condition string, types string) {
	if !s.Except {
		return "type IN (SELECT value FROM json_each(?1))", row.List(s.Types)
	}
	return "type NOT IN (SELECT value FROM json_each(?1))", row.List(append(slices.Clone(s.Types), c.topics...))
}

// behind calls add with the number of wanted events after the cursor of s, by outcome: "" for no record. If the rest of
// the log is long, behind reads the events in hand, and takes the rest from the counts of blocks.
func (c *counting) behind(ctx context.Context, s *countedSub, add addFunc) error {
	parts, err := c.parts(ctx, s)
	if err != nil {
		return err
	}
	unanswered := int64(0) // in a row
	for _, p := range parts {
		if p.events >= 0 && unanswered > inHand {
			add("", p.events, 0)
			continue
		}
		err := c.count(ctx, s, p, func(o journal.Outcome, n, retries int64) {
			if add(o, n, retries); o == "" {
				unanswered += n
			} else {
				unanswered = 0
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// waits reports whether s has still to answer an event.
func (c *counting) waits(ctx context.Context, s *countedSub) (waits bool, err error) {
	parts, err := c.parts(ctx, s)
	for _, p := range parts {
		if err != nil || waits {
			break
		}
		err = c.count(ctx, s, p, func(o journal.Outcome, _, _ int64) { waits = waits || o == "" })
	}
	return waits, err
}

// part is a part of the log with the number of events that a subscription wants: -1 if not counted.
type part struct{ after, upto, events int64 }

// parts returns the parts after the cursor of s with events that s wants.
func (c *counting) parts(ctx context.Context, s *countedSub) (parts []part, err error) {
	if s.Cursor < c.blocks {
		condition, types := c.wants(s)
		query := "SELECT block, sum(events) FROM blocks WHERE block >= ?2 / 4096 AND " + condition + " GROUP BY block ORDER BY block"
		err = row.Each(ctx, c.tx, row.SQL(query, types, s.Cursor), func(rows *sql.Rows) error {
			var p part
			var block int64
			err := rows.Scan(&block, &p.events)
			p.after, p.upto = block*count.BlockSize, (block+1)*count.BlockSize
			if p.after < s.Cursor {
				p.after, p.events = s.Cursor, -1
			}
			parts = append(parts, p)
			return err
		})
	}
	for from := max(s.Cursor, c.blocks); from < c.head; from += count.BlockSize {
		parts = append(parts, part{from, min(from+count.BlockSize, c.head), -1})
	}
	return parts, err
}

// count counts the events in p that s wants, by outcome.
func (c *counting) count(ctx context.Context, s *countedSub, p part, add addFunc) error {
	condition, types := c.wants(s)
	return eachCount(ctx, c.tx, row.SQL(`
SELECT coalesce(d.outcome, ''), count(*), coalesce(sum(max(d.attempts - 1, 0)), 0)
FROM events e LEFT JOIN deliveries d ON d.seq = e.seq AND d.subscription = ?4
WHERE e.seq > ?2 AND e.seq <= ?3 AND e.`+condition+` GROUP BY 1`, types, p.after, p.upto, s.id), add)
}
