package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// ErrDeployable: the journal is that of a deployable, and cannot become an observer's.
var ErrDeployable = errors.New("sqlite: journal of a deployable")

// Observer takes in what the deployables of a system send, events and records of deliveries, into a journal that is its own.
// Whatever reads a journal then reads the whole system. Nothing is run on such a journal, and it is nobody's only copy.
type Observer struct{ j *Journal }

// Observe makes j an observer's journal, which it stays, and subs known: those of the whole system, so that it can be told
// what has no answer yet. A journal that modules have run on is refused with ErrDeployable, and one of an observer refuses
// to be run on.
func (j *Journal) Observe(ctx context.Context, subs []journal.Subscription) (*Observer, error) {
	err := j.writer.submit(ctx, &item{work: journal.Work{Name: "observer"}, durable: true, run: func(u *unit) error {
		return observe(context.WithoutCancel(ctx), u.Tx(), subs)
	}})
	if err != nil {
		return nil, fmt.Errorf("sqlite: observe on %s: %w", j.path, explain(err))
	}
	return &Observer{j}, nil
}

const selectUse = `
SELECT EXISTS (SELECT 1 FROM observer),
       EXISTS (SELECT 1 FROM subscriptions) OR EXISTS (SELECT 1 FROM events) OR EXISTS (SELECT 1 FROM migrations WHERE module <> 'journal')`

// A subscription that the journal comes to know late may not owe an answer to the events that are older; what it answers all the
// same is shown. That of a program that is newer than the observer is entered, when its first record comes, as one of no types.
const (
	observeSubscription = `
INSERT INTO subscriptions (name, kind, types, start_seq, cursor)
SELECT ?1, 'bus', ?2, head, head FROM (SELECT coalesce(max(seq), 0) AS head FROM events) WHERE true
ON CONFLICT (name) DO UPDATE
SET types = excluded.types, retired_at = NULL, cursor = iif(types = excluded.types, cursor, start_seq)`

	retireOthers = `
UPDATE subscriptions SET retired_at = ?1
WHERE retired_at IS NULL AND types <> '[]' AND name NOT IN (SELECT value FROM json_each(?2))`
)

func observe(ctx context.Context, tx *sql.Tx, subs []journal.Subscription) error {
	var is, used bool
	if err := tx.QueryRowContext(ctx, selectUse).Scan(&is, &used); err != nil {
		return err
	}
	switch {
	case !is && used:
		return fmt.Errorf("%w: an observer keeps one of its own: name another file", ErrDeployable)
	case !is:
		if _, err := tx.ExecContext(ctx, "INSERT INTO observer (since) VALUES (?)", time.Now().UnixMicro()); err != nil {
			return err
		}
	}
	names := make([]string, len(subs))
	for i, s := range subs {
		names[i] = s.Name
		types, err := newMatch(s.Types, false).list()
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, observeSubscription, s.Name, types); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, retireOthers, time.Now().UnixMicro(), list(names))
	return err
}

// Take makes events durable, in their order and all or none, leaving out those that are there: those of
// journal.RecordsType as what they say of deliveries, all others as they are. A record whose event has not come yet waits for
// it. It may be called for several topics at once.
func (o *Observer) Take(ctx context.Context, events []*journal.Event) error {
	err := o.j.writer.submit(ctx, &item{work: journal.Work{Name: "observer"}, durable: true, run: func(u *unit) error {
		t := take{ctx: context.WithoutCancel(ctx), u: u, tx: u.Tx(), subs: map[string]int64{}, logger: o.j.cfg.Logger}
		return u.refuse(t.all(events))
	}})
	if err != nil {
		return fmt.Errorf("sqlite: observe: %w", err)
	}
	return nil
}

// take is what is taken in at once.
type take struct {
	ctx    context.Context
	u      *unit
	tx     *sql.Tx
	subs   map[string]int64 // ids, by name
	logger *slog.Logger
}

func (t *take) all(events []*journal.Event) error {
	for _, e := range events {
		if e.Type == journal.RecordsType {
			records, err := decodeRecords(e)
			if err == nil {
				if err := t.records(records); err != nil {
					return err
				}
				continue
			}
			t.logger.LogAttrs(t.ctx, slog.LevelError, "records of deliveries cannot be read, and are kept as an event; if the deployables are newer, update the observer",
				slog.String("event_id", e.ID), slog.Any("error", err))
		}
		if err := t.u.append(e); err != nil {
			return err
		}
	}
	if err := t.belated(); err != nil {
		return err
	}
	return t.advance()
}

// decodeRecords reads what a deployable, whose journal's id is the event's key, says of deliveries. What each bus has for
// itself is told apart by that: two of them may have an answer of their own to one event.
func decodeRecords(e *journal.Event) ([]journal.Record, error) {
	var records []journal.Record
	if err := json.Unmarshal(e.Data, &records); err != nil {
		return nil, err
	}
	for i := range records {
		r := &records[i]
		switch {
		case r.EventID == "" || r.EventType == "" || r.Subscription == "":
			return nil, fmt.Errorf("record %d does not say what it is of", i)
		case r.Outcome != journal.Retrying && r.Outcome != journal.Blocked && !r.Outcome.Final():
			return nil, fmt.Errorf("record %d has the outcome %q", i, r.Outcome)
		}
		if strings.HasPrefix(r.Subscription, "bus/") {
			r.Subscription += "@" + e.Key[:min(len(e.Key), 8)]
		}
	}
	return records, nil
}

const insertEarly = `INSERT OR REPLACE INTO early_records (event_id, event_type, subscription, at, record) VALUES (?, ?, ?, ?, ?)`

// records takes in what became of deliveries.
func (t *take) records(records []journal.Record) error {
	for i := range records {
		r := &records[i]
		there, err := t.record(r)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if _, err := t.tx.ExecContext(t.ctx, insertEarly, r.EventID, r.EventType, r.Subscription, unixMicro(r.Started)+r.DurationUS, string(text)); err != nil {
			return err
		}
	}
	return nil
}

// belated applies what was said early about the events that have just come.
func (t *take) belated() error {
	if len(t.u.appended) == 0 {
		return nil
	}
	ids := make([]string, len(t.u.appended))
	for i, e := range t.u.appended {
		ids[i] = e.ID
	}
	var early []journal.Record
	query := statement{"SELECT record FROM early_records WHERE event_id IN (SELECT value FROM json_each(?))", []any{list(ids)}}
	err := each(t.ctx, t.tx, query, func(rows *sql.Rows) error {
		var text []byte
		if err := rows.Scan(&text); err != nil {
			return err
		}
		early = append(early, journal.Record{})
		return json.Unmarshal(text, &early[len(early)-1])
	})
	if err != nil {
		return err
	}
	for i := range early {
		r := &early[i]
		there, err := t.record(r)
		if err == nil && there { // it may be another event of the same id
			_, err = t.tx.ExecContext(t.ctx, "DELETE FROM early_records WHERE event_id = ? AND event_type = ? AND subscription = ?", r.EventID, r.EventType, r.Subscription)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// answered is a delivery as the journal has it.
type answered struct {
	sub, seq int64
	key      string
	outcome  journal.Outcome // "" where there is no answer yet
}

const selectAnswer = `
SELECT e.seq, e.key, coalesce(d.outcome, '')
FROM events e LEFT JOIN deliveries d ON d.seq = e.seq AND d.subscription = ?
WHERE e.id = ? AND e.type = ?`

// record takes in what became of one delivery, and reports false when its event is not here. What is told again changes
// nothing; and what was told before an answer that is for good, and comes again behind it, does neither.
func (t *take) record(r *journal.Record) (there bool, err error) {
	var was answered
	if was.sub, err = t.subscription(r.Subscription); err != nil {
		return false, err
	}
	err = t.tx.QueryRowContext(t.ctx, selectAnswer, was.sub, r.EventID, r.EventType).Scan(&was.seq, &was.key, &was.outcome)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil || was.outcome.Final() && was.outcome != journal.Dead:
		return true, err
	}
	return true, t.answer(was, r)
}

const (
	setDelivery = `
INSERT INTO deliveries (seq, subscription, outcome, attempts, started_at, duration, error) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (seq, subscription) DO UPDATE
SET outcome = excluded.outcome, attempts = excluded.attempts, started_at = excluded.started_at,
    duration = excluded.duration, error = excluded.error`

	// The attempts before a replay count; those of the same death, told again, do not.
	setDeadLetter = `
INSERT INTO dead_letters (seq, subscription, error, stack, attempts, first_failed_at, dead_at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (subscription, seq) DO UPDATE
SET error = excluded.error, stack = excluded.stack, status = 'dead', dead_at = max(dead_at, excluded.dead_at),
    attempts = attempts + iif(excluded.dead_at > dead_at, excluded.attempts, 0)`
)

// answer writes r as the journal of its deployable has it.
func (t *take) answer(was answered, r *journal.Record) error {
	steps := []statement{{setDelivery, []any{was.seq, was.sub, string(r.Outcome), r.Attempts, unixMicro(r.Started), r.DurationUS, nullable(r.Error)}}}
	status := map[journal.Outcome]journal.LetterStatus{
		journal.Retrying: journal.LetterReplaying, journal.Blocked: journal.LetterReplaying,
		journal.Done: journal.LetterReplayed, journal.Skipped: journal.LetterReplayed, journal.Dropped: journal.LetterDropped,
	}[r.Outcome]
	if was.outcome != "" {
		steps = append(steps, statement{"DELETE FROM pending WHERE subscription = ? AND key = ? AND seq = ?", []any{was.sub, was.key, was.seq}})
		if status != "" {
			steps = append(steps, statement{"UPDATE dead_letters SET status = ? WHERE subscription = ? AND seq = ?", []any{string(status), was.sub, was.seq}})
		}
	}
	pending := string(r.Outcome)
	switch {
	case r.Outcome == journal.Dead:
		steps = append(steps, statement{setDeadLetter, []any{was.seq, was.sub, r.Error, r.Stack, r.Attempts, unixMicro(r.FirstFailed), unixMicro(r.DeadAt)}})
		if pending = ""; r.Parked {
			pending = "parked"
		}
	case r.Outcome.Final():
		pending = ""
	}
	if pending != "" {
		steps = append(steps, statement{upsertPending, []any{was.sub, was.key, was.seq, pending, r.Attempts, unixMicro(r.RetryAt)}})
	}
	for _, s := range steps {
		if _, err := t.tx.ExecContext(t.ctx, s.query, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// subscription is the id of the one of that name, which is entered if it is not known.
func (t *take) subscription(name string) (int64, error) {
	if id, ok := t.subs[name]; ok {
		return id, nil
	}
	const find = "SELECT id FROM subscriptions WHERE name = ?"
	var id int64
	err := t.tx.QueryRowContext(t.ctx, find, name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		if _, err = t.tx.ExecContext(t.ctx, observeSubscription, name, "[]"); err == nil {
			err = t.tx.QueryRowContext(t.ctx, find, name).Scan(&id)
		}
	}
	t.subs[name] = id
	return id, err
}

const advanceCursors = `
UPDATE subscriptions AS s SET cursor = coalesce((
	SELECT e.seq - 1 FROM events e
	WHERE e.seq > s.cursor AND e.type IN (SELECT value FROM json_each(s.types))
	  AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = e.seq AND d.subscription = s.id)
	ORDER BY e.seq LIMIT 1), (SELECT max(seq) FROM events), cursor)`

// advance moves each subscription's cursor, now and then, over what has its answer, so that nobody looks at that again.
func (t *take) advance() error {
	if !slices.ContainsFunc(t.u.appended, func(e *journal.Event) bool { return e.Seq%cursorEvery == 0 }) {
		return nil
	}
	_, err := t.tx.ExecContext(t.ctx, advanceCursors)
	return err
}

// unixMicro is a time as the journal has it; no time is 0.
func unixMicro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
