package reader

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// ErrTooMany: an id matches more flows than can be shown.
var ErrTooMany = errors.New("sqlite: too many")

// maxFlows is the number of flows that one key may match.
const maxFlows = 1000

// maxFlowEvents is the number of events that Flow returns.
const maxFlowEvents = 10_000

// Flow returns the flows that match id, in the order of their first events: the flow with that correlation id;
// otherwise the flow of the event with that id; otherwise all flows with events of that key. The error is an
// ErrNotFound for no match, and an ErrTooMany for more than 1000. Flow reads at most the first 10,000 events, in pages;
// each page is seen at one instant. Omitted is the number of further events of a flow.
func (r *Reader) Flow(ctx context.Context, id string) ([]*journal.Flow, error) {
	var ids []string
	err := r.View(ctx, func(tx *sql.Tx) (err error) {
		ids, err = flowIDs(ctx, tx, id)
		return err
	})
	var flows []*journal.Flow
	left := maxFlowEvents
	for _, id := range ids {
		if err != nil {
			break
		}
		f := &journal.Flow{ID: id, Events: []journal.FlowEvent{}}
		err = r.readFlow(ctx, f, left)
		left -= len(f.Events)
		flows = append(flows, f)
	}
	return flows, err
}

// readFlow reads at most limit events of f.
func (r *Reader) readFlow(ctx context.Context, f *journal.Flow, limit int) error {
	filter, after := EventFilter{Flow: f.ID}, int64(0)
	for first := true; ; first = false {
		size := min(pageEvents, limit-len(f.Events))
		full := false
		err := r.View(ctx, func(tx *sql.Tx) error {
			a, err := newAnswers(ctx, tx)
			if err != nil {
				return err
			}
			if first {
				if err := a.delayed(ctx, f); err != nil {
					return err
				}
			}
			seqs, err := filter.seqs(ctx, tx, after, math.MaxInt64, "", size)
			if err != nil || len(seqs) == 0 {
				return err
			}
			page, err := readPage(ctx, tx, seqs)
			if err != nil {
				return err
			}
			events, err := a.to(ctx, page)
			f.Events = append(f.Events, events...)
			after, full = page[len(page)-1].Seq, len(page) < len(seqs) || len(seqs) == size
			if !full || len(f.Events) < limit {
				return err
			}
			query := "SELECT count(*) FROM events WHERE correlation_id = ? AND seq > ?"
			return errors.Join(err, row.Explain(tx.QueryRowContext(ctx, query, f.ID, after).Scan(&f.Omitted)))
		})
		if err != nil || !full || len(f.Events) >= limit {
			return err
		}
	}
}

// Explain returns the event with this id and the answer of every subscription that wants the event. Messages of several
// topics may share the id: then Explain returns all. The error is an ErrNotFound for an unknown id.
func (r *Reader) Explain(ctx context.Context, id string) ([]journal.FlowEvent, error) {
	var events []journal.FlowEvent
	err := r.View(ctx, func(tx *sql.Tx) error {
		answers, err := newAnswers(ctx, tx)
		if err != nil {
			return err
		}
		var named []*journal.Event
		err = row.Each(ctx, tx, row.SQL("SELECT "+row.EventColumns+" FROM events WHERE id = ? ORDER BY seq", id), func(rows *sql.Rows) error {
			e, err := row.ScanEvent(rows)
			named = append(named, e)
			return err
		})
		if err == nil {
			events, err = answers.to(ctx, named)
		}
		if err == nil && len(events) == 0 {
			err = fmt.Errorf("%w: no event has the id %q", ErrNotFound, id)
		}
		return err
	})
	return events, err
}

// flowsBy are the queries by which an id finds flows, the best first. The query by key leaves out flows whose
// correlation id is the key: the first query finds them. Without NOT INDEXED and INDEXED BY, SQLite would read the
// whole index of flows, because its order suits the UNION.
var flowsBy = []string{
	`SELECT ?1 WHERE EXISTS (SELECT 1 FROM events WHERE correlation_id = ?1) OR EXISTS (SELECT 1 FROM delayed WHERE correlation_id = ?1)
	OR EXISTS (SELECT 1 FROM cancelled WHERE correlation_id = ?1)`,
	`SELECT correlation_id FROM events WHERE id = ?1 UNION SELECT correlation_id FROM delayed WHERE event_id = ?1
	UNION SELECT correlation_id FROM cancelled WHERE event_id = ?1`,
	`SELECT correlation_id FROM (
		SELECT DISTINCT correlation_id FROM keys WHERE key = ?1
		UNION SELECT correlation_id FROM events NOT INDEXED WHERE seq > ` + countedUpto + ` AND key = ?1 AND key <> correlation_id
		UNION SELECT correlation_id FROM delayed INDEXED BY delayed_key WHERE key = ?1 AND key <> correlation_id LIMIT 1001) f
	WHERE ?1 <> '' ORDER BY coalesce((SELECT min(seq) FROM events e WHERE e.correlation_id = f.correlation_id), 1 << 62), correlation_id`,
}

// flowIDs returns the correlation ids of the flows that match id.
func flowIDs(ctx context.Context, q row.Queryer, id string) ([]string, error) {
	for _, query := range flowsBy {
		var ids []string
		err := row.Each(ctx, q, row.SQL(query, id), func(rows *sql.Rows) error {
			var flow string
			err := rows.Scan(&flow)
			ids = append(ids, flow)
			return err
		})
		switch {
		case err != nil:
			return nil, err
		case len(ids) > maxFlows:
			return nil, fmt.Errorf("%w: %q is a key of more than %d flows: name one of them by its correlation id, or the id of one of its events", ErrTooMany, id, maxFlows)
		case len(ids) > 0:
			return ids, nil
		}
	}
	return nil, fmt.Errorf("%w: %q is neither a correlation id nor the id or the key of an event: is it another journal's?", ErrNotFound, id)
}

// answers reads the answers of subscriptions to events, in one transaction.
type answers struct {
	tx     *sql.Tx
	subs   []*consumer
	topics map[string]bool   // of plain consumer groups
	now    map[string]string // the present names of subscriptions, by their earlier names
}

// consumer is a bus subscription in the journal.
type consumer struct {
	id, start, cursor int64
	name              string
	match             *wake.Match
}

const liveConsumers = `
SELECT id, name, types, except_of, start_seq, cursor FROM subscriptions WHERE kind = 'bus' AND retired_at IS NULL ORDER BY name`

const renamed = "SELECT w.value, s.name FROM subscriptions s, json_each(s.was) w WHERE s.run_of = '' AND w.value <> s.name"

// called returns the present name of a subscription.
func (a *answers) called(subscription string) string {
	return cmp.Or(a.now[subscription], subscription)
}

func newAnswers(ctx context.Context, tx *sql.Tx) (*answers, error) {
	a := &answers{tx: tx, topics: map[string]bool{}, now: map[string]string{}}
	topics, err := GroupTopics(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, t := range topics {
		a.topics[t] = true
	}
	err = row.Each(ctx, tx, row.SQL(renamed), func(rows *sql.Rows) error {
		var was, now string
		err := rows.Scan(&was, &now)
		a.now[was] = now
		return err
	})
	if err != nil {
		return nil, err
	}
	err = row.Each(ctx, tx, row.SQL(liveConsumers), func(rows *sql.Rows) error {
		c := &consumer{}
		var list string
		var types []string
		var except bool
		if err := rows.Scan(&c.id, &c.name, &list, &except, &c.start, &c.cursor); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(list), &types); err != nil {
			return fmt.Errorf("types of subscription %s: %w", c.name, err)
		}
		c.match = wake.NewMatch(types, except)
		a.subs = append(a.subs, c)
		return nil
	})
	return a, err
}

const delayedOfFlow = `
SELECT event_id, type, key, due_at, causation_id, subscription, name, 0 AS cancelled_at FROM delayed WHERE correlation_id = ?1
UNION ALL SELECT event_id, type, key, due_at, causation_id, subscription, name, cancelled_at FROM cancelled WHERE correlation_id = ?1
ORDER BY due_at, event_id`

// delayed reads the delayed events of f.
func (a *answers) delayed(ctx context.Context, f *journal.Flow) error {
	return row.Each(ctx, a.tx, row.SQL(delayedOfFlow, f.ID), func(rows *sql.Rows) error {
		var e journal.DelayedEvent
		var due, cancelled int64
		err := rows.Scan(&e.ID, &e.Type, &e.Key, &due, &e.CausationID, &e.Subscription, &e.Name, &cancelled)
		e.Due, e.CancelledAt, e.Subscription = row.Time(due), row.TimeOrZero(cancelled), a.called(e.Subscription)
		if cancelled == 0 {
			f.Delayed = append(f.Delayed, e)
		} else {
			f.Cancelled = append(f.Cancelled, e)
		}
		return err
	})
}

// recordedReactions selects the reactions to the events with these seqs. For a blocked reaction it selects the oldest
// open event of the key.
const recordedReactions = `
WITH j(seq) AS (SELECT value FROM json_each(?1))
SELECT d.seq, s.name, d.outcome, d.attempts, d.started_at, d.duration, substr(coalesce(d.error, ''), 1, 8192), coalesce(p.state, ''), coalesce(p.due_at, 0), coalesce(l.id, 0),
       CASE d.outcome WHEN 'blocked' THEN coalesce((SELECT min(o.seq) FROM pending o WHERE o.subscription = d.subscription AND o.key = e.key), 0) ELSE 0 END
FROM j CROSS JOIN events e ON e.seq = j.seq CROSS JOIN deliveries d ON d.seq = e.seq CROSS JOIN subscriptions s ON s.id = d.subscription
LEFT JOIN pending p ON p.subscription = d.subscription AND p.key = e.key AND p.seq = d.seq
LEFT JOIN dead_letters l ON l.subscription = d.subscription AND l.seq = d.seq`

// to returns events with their answers, by subscription.
func (a *answers) to(ctx context.Context, events []*journal.Event) ([]journal.FlowEvent, error) {
	out := make([]journal.FlowEvent, len(events))
	at := map[int64]*journal.FlowEvent{}
	seqs := make([]int64, len(events))
	for i, e := range events {
		out[i] = journal.FlowEvent{EventRecord: journal.NewEventRecord(e), Reactions: []journal.Reaction{}}
		at[e.Seq], seqs[i] = &out[i], e.Seq
	}
	err := row.Each(ctx, a.tx, row.SQL(recordedReactions, row.List(seqs)), func(rows *sql.Rows) error {
		var seq int64
		r, err := scanReaction(rows, &seq)
		if r.BlockedBy == seq { // next of its key
			r.BlockedBy = 0
		}
		at[seq].Reactions = append(at[seq].Reactions, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range out {
		a.complete(&out[i])
	}
	return out, nil
}

// complete adds the answers to e that have no record. The subscription that emitted e gets its present name.
func (a *answers) complete(e *journal.FlowEvent) {
	e.Subscription = a.called(e.Subscription)
	recorded := map[string]bool{}
	for _, r := range e.Reactions {
		recorded[r.Subscription] = true
	}
	for _, c := range a.subs {
		if recorded[c.name] || !c.match.Wants(e.Type) || c.match.Except && (a.topics[e.Type] || e.Seq <= c.cursor) {
			continue // types that were known when the cursor passed need no answer from a subscription to unknown types
		}
		e.Reactions = append(e.Reactions, c.unrecorded(e.Seq))
	}
	slices.SortFunc(e.Reactions, func(x, y journal.Reaction) int {
		return strings.Compare(x.Subscription, y.Subscription)
	})
}

// unrecorded is the answer of c to an event without a record.
func (c *consumer) unrecorded(seq int64) journal.Reaction {
	r := journal.Reaction{Subscription: c.name, Outcome: journal.Waiting}
	switch {
	case seq <= c.start:
		r.Outcome, r.Error = journal.Skipped, journal.TooOld
	case seq <= c.cursor:
		r.Outcome, r.Error = journal.Skipped, "passed without a record: the journal's books are wrong"
	}
	return r
}

func scanReaction(rows row.Scanner, seq *int64) (journal.Reaction, error) {
	var r journal.Reaction
	var state string
	var started, duration, due int64
	err := rows.Scan(seq, &r.Subscription, &r.Outcome, &r.Attempts, &started, &duration, &r.Error, &state, &due,
		&r.DeadLetter, &r.BlockedBy)
	if r.Attempts > 0 { // started_at of a delivery that is only blocked is the time of the record
		r.Started, r.Duration = row.Time(started), time.Duration(duration)*time.Microsecond
	}
	if r.Outcome == journal.Retrying {
		r.RetryAt = row.Time(due)
	}
	r.Parked = state == "parked"
	return r, err
}
