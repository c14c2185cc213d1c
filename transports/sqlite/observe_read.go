package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// Observes reports whether the journal that tx, of a View, reads is an observer's.
func Observes(ctx context.Context, tx *sql.Tx) (is bool, err error) {
	err = tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM observer)").Scan(&is)
	return is, explain(err)
}

// Early counts the records in an observer's journal whose events have not come: those of answers that were given at before or
// later, whose events are on their way, and those of older ones. Their events may be lost; or were never sent, because they are
// older than the system's first second deployable.
func Early(ctx context.Context, tx *sql.Tx, before time.Time) (recent, old int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT count(*) FILTER (WHERE at >= ?1), count(*) FILTER (WHERE at < ?1) FROM early_records", before.UnixMicro()).Scan(&recent, &old)
	return recent, old, explain(err)
}

// An event may come to an observer before the record of the reaction that emitted it, also a moment after it was told that the
// reaction is dead: somebody had it replayed. But of what is skipped or dropped nothing comes.
var observedEmission = rule{"what a reaction emitted comes from one that is done, as far as is known", `
SELECT 'event ' || e.seq || ' (' || e.type || ' ' || e.id || ') was emitted by ' || e.subscription || ', whose reaction to ' || e.causation_id || ' is recorded as ' || d.outcome
FROM events e CROSS JOIN subscriptions s ON s.name = e.subscription CROSS JOIN events c ON c.id = e.causation_id
CROSS JOIN deliveries d ON d.seq = c.seq AND d.subscription = s.id WHERE e.seq > :after AND e.seq <= :upto AND d.outcome IN ('skipped', 'dropped')`}

// emission is the name of the rule that holds where reactions run.
const emission = "what a reaction emitted comes from one that is done"

// eventsWithAnswers has the answers that are on record as an array of arrays.
const eventsWithAnswers = `
SELECT ` + eventColumns + `, (SELECT json_group_array(json_array(s.name, d.outcome, d.attempts, d.started_at, d.duration, coalesce(d.error, '')))
	FROM deliveries d JOIN subscriptions s ON s.id = d.subscription WHERE d.seq = events.seq)
FROM events ORDER BY seq`

// EachAnswered calls fn with every event that tx, of a View, sees, in the order of the log, and with the answer of each
// subscription that wants it, also with those that are only waited for. Of the answers it leaves out what is only for show:
// the dead letter, when the next attempt is due, and what an event is behind. An error of fn ends it and is returned as it is.
func EachAnswered(ctx context.Context, tx *sql.Tx, fn func(*journal.Event, []journal.Reaction) error) error {
	known, err := newAnswers(ctx, tx)
	if err != nil {
		return err
	}
	return each(ctx, tx, statement{query: eventsWithAnswers}, func(rows *sql.Rows) error {
		var text []byte
		e, err := scanEvent(rows, &text)
		if err != nil {
			return fmt.Errorf("sqlite: read events: %w", err)
		}
		var recorded []recordedAnswer
		if err := json.Unmarshal(text, &recorded); err != nil {
			return fmt.Errorf("sqlite: read the answers to event %d: %w", e.Seq, err)
		}
		answers := make([]journal.Reaction, len(recorded), len(recorded)+1)
		for i, r := range recorded {
			answers[i] = journal.Reaction(r)
		}
		for _, c := range known.subs {
			if c.match.except || !c.match.wants(e.Type) || slices.ContainsFunc(answers, func(r journal.Reaction) bool { return r.Subscription == c.name }) {
				continue
			}
			answers = append(answers, c.unrecorded(e.Seq))
		}
		return fn(e, answers)
	})
}

// EachDelayed calls fn with every event that is still to come, as tx, of a View, sees it. An error of fn ends it and is returned as
// it is.
func EachDelayed(ctx context.Context, tx *sql.Tx, fn func(journal.Delayed) error) error {
	return each(ctx, tx, statement{selectDelayed, []any{0, -1}}, func(rows *sql.Rows) error {
		_, d, err := scanDelayed(rows)
		if err != nil {
			return fmt.Errorf("sqlite: read delayed events: %w", err)
		}
		return fn(d)
	})
}

// recordedAnswer is a journal.Reaction as eventsWithAnswers has it.
type recordedAnswer journal.Reaction

// UnmarshalJSON implements json.Unmarshaler.
func (r *recordedAnswer) UnmarshalJSON(text []byte) error {
	var started, duration int64
	fields := []any{&r.Subscription, &r.Outcome, &r.Attempts, &started, &duration, &r.Error}
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	r.Started, r.Duration = micros(started), time.Duration(duration)*time.Microsecond
	return nil
}
