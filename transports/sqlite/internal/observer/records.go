package observer

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// record is a journal.Record as received.
type record struct {
	journal.Record
	Whole bool `json:"whole,omitempty"` // version 2 or later: a missing field means no
}

// decodeRecords decodes the records of a deployable. The event's key is the id of its journal. The bus's own
// subscriptions get part of the id in their names: two buses may each answer an event.
func decodeRecords(e *journal.Event) ([]record, error) {
	var records []record
	if err := json.Unmarshal(e.Data, &records); err != nil {
		return nil, err
	}
	for i := range records {
		r := &records[i]
		switch {
		case r.EventID == "" || r.EventType == "" || r.Subscription == "":
			return nil, fmt.Errorf("record %d lacks an event or a subscription", i)
		case r.Outcome != journal.Retrying && r.Outcome != journal.Blocked && !r.Outcome.Final():
			return nil, fmt.Errorf("record %d has the outcome %q", i, r.Outcome)
		}
		for _, a := range r.Acts {
			if a.Act != "replay" && a.Act != "drop" {
				return nil, fmt.Errorf("record %d has the act %q", i, a.Act)
			}
		}
		r.Whole = e.Version > 1
		r.Error, r.DeadError = journal.Cut(r.Error, journal.MaxError), journal.Cut(r.DeadError, journal.MaxError)
		r.Stack = journal.Cut(r.Stack, journal.MaxStack)
		if strings.HasPrefix(r.Subscription, "bus/") {
			r.Subscription += "@" + e.Key[:min(len(e.Key), 8)]
		}
	}
	return records, nil
}

// stage is the progress of a delivery, which may die, be replayed and die again. Stages are compared number by number.
type stage [4]int

func stageOf(o journal.Outcome, attempts, allAttempts int) stage {
	s := stage{allAttempts, 0, attempts, 0} // all attempts up to the last death
	if o != journal.Dead {
		s[1] = 1
	}
	if o.Final() {
		s[3] = 1
	}
	return s
}

func (r *record) stage() stage { return stageOf(r.Outcome, r.Attempts, r.AllAttempts) }

// before reports whether r is older than s: r came late, or again, and is dropped.
func (r *record) before(s stage) bool { was := r.stage(); return slices.Compare(was[:], s[:]) < 0 }

const (
	selectEarly = `SELECT record FROM early_records WHERE event_id = ? AND event_type = ? AND subscription = ?`
	insertEarly = `INSERT OR REPLACE INTO early_records (event_id, event_type, subscription, at, record) VALUES (?, ?, ?, ?, ?)`
)

// records writes records of deliveries.
func (t *take) records(records []record) error {
	for i := range records {
		r := &records[i]
		there, err := t.record(r)
		if err == nil && !there {
			err = t.early(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// early stores r until its event comes.
func (t *take) early(r *record) error {
	was, text := record{}, []byte{}
	err := t.tx.QueryRowContext(t.ctx, selectEarly, r.EventID, r.EventType, r.Subscription).Scan(&text)
	if err == nil {
		err = json.Unmarshal(text, &was)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) || err == nil && r.Whole && was.Whole && r.before(was.stage()) {
		return err
	}
	if text, err = json.Marshal(r); err != nil {
		return err
	}
	_, err = t.tx.ExecContext(t.ctx, insertEarly, r.EventID, r.EventType, r.Subscription,
		row.Micros(r.Started)+r.DurationUS, string(text))
	return err
}

// belated applies the early records of the events that have just come.
func (t *take) belated() error {
	for done := 0; done < len(t.u.Appended()); {
		var ids []string
		for _, e := range t.u.Appended()[done:] {
			ids = append(ids, e.ID)
		}
		done = len(t.u.Appended())
		if _, err := t.tx.ExecContext(t.ctx, forgetDelayed, row.List(ids)); err != nil {
			return err
		}
		var early []record
		query := row.SQL("SELECT record FROM early_records WHERE event_id IN (SELECT value FROM json_each(?))", row.List(ids))
		err := row.Each(t.ctx, t.tx, query, func(rows *sql.Rows) error {
			var text []byte
			if err := rows.Scan(&text); err != nil {
				return err
			}
			early = append(early, record{})
			return json.Unmarshal(text, &early[len(early)-1])
		})
		for i := range early {
			if err == nil {
				err = t.late(&early[i])
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *take) late(r *record) error {
	there, err := t.record(r)
	if err == nil && there { // it may be for another event of the same id
		_, err = t.tx.ExecContext(t.ctx, "DELETE FROM early_records WHERE event_id = ? AND event_type = ? AND subscription = ?", r.EventID, r.EventType, r.Subscription)
	}
	return err
}

// answered is a delivery in the journal.
type answered struct {
	sub         *observedSub
	seq         int64
	key         string
	outcome     journal.Outcome // "" without an answer
	attempts    int
	letter      int64 // 0 if never dead
	allAttempts int
	deadAt      int64
}

const selectAnswer = `
SELECT e.seq, e.key, coalesce(d.outcome, ''), coalesce(d.attempts, 0), coalesce(l.id, 0), coalesce(l.attempts, 0), coalesce(l.dead_at, 0)
FROM events e LEFT JOIN deliveries d ON d.seq = e.seq AND d.subscription = ?1
LEFT JOIN dead_letters l ON l.subscription = ?1 AND l.seq = e.seq
WHERE e.id = ?2 AND e.type = ?3`

// record writes r, and reports false when the event of r is missing.
func (t *take) record(r *record) (there bool, err error) {
	var was answered
	if was.sub, err = t.subscription(r); err != nil {
		return false, err
	}
	if r.Whole && r.Rebuilds < was.sub.rebuilds { // of a former run
		return true, nil
	}
	err = t.tx.QueryRowContext(t.ctx, selectAnswer, was.sub.id, r.EventID, r.EventType).
		Scan(&was.seq, &was.key, &was.outcome, &was.attempts, &was.letter, &was.allAttempts, &was.deadAt)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return true, err
	}
	if err := t.began(was.sub, was.seq); err != nil || was.after(r) {
		return true, err
	}
	if r.Whole {
		if err := t.retire(was.sub, r.Retired); err != nil {
			return true, err
		}
	}
	return true, t.answer(was, r)
}

// after reports whether r is older than the stored answer. Records of older programs have no stage: each replaces the
// one before, until there is a final answer.
func (was *answered) after(r *record) bool {
	switch {
	case was.outcome == "":
		return false
	case r.Whole:
		return r.before(stageOf(was.outcome, was.attempts, was.allAttempts))
	default:
		return was.outcome.Final() && was.outcome != journal.Dead
	}
}

const setDelivery = `
INSERT INTO deliveries (seq, subscription, outcome, attempts, started_at, duration, error) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (seq, subscription) DO UPDATE
SET outcome = excluded.outcome, attempts = excluded.attempts, started_at = excluded.started_at,
    duration = excluded.duration, error = excluded.error`

// answer writes r as its deployable's journal has the delivery.
func (t *take) answer(was answered, r *record) error {
	steps := []row.Statement{row.SQL(setDelivery, was.seq, was.sub.id, string(r.Outcome), r.Attempts,
		row.Micros(r.Started), r.DurationUS, row.TextOrNull(r.Error))}
	if was.outcome != "" {
		steps = append(steps, row.SQL("DELETE FROM pending WHERE subscription = ? AND key = ? AND seq = ?", was.sub.id, was.key, was.seq))
	}
	pending := string(r.Outcome)
	switch {
	case r.Outcome == journal.Dead && r.Parked:
		pending = "parked"
	case r.Outcome.Final():
		pending = ""
	}
	if pending != "" {
		steps = append(steps, row.SQL(row.UpsertPending, was.sub.id, was.key, was.seq, pending, r.Attempts,
			row.Micros(r.RetryAt), row.Micros(r.FirstFailed)))
	}
	for _, s := range append(steps, letterSteps(was, r)...) {
		if _, err := t.tx.ExecContext(t.ctx, s.Text, s.Args...); err != nil {
			return err
		}
	}
	if r.Outcome == journal.Done && r.EventType == wire.UndecodedType {
		return t.redecode(was.seq)
	}
	return nil
}

const (
	setDeadLetter = `
INSERT INTO dead_letters (seq, subscription, error, stack, attempts, first_failed_at, dead_at, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (subscription, seq) DO UPDATE
SET error = excluded.error, stack = excluded.stack, attempts = excluded.attempts, first_failed_at = excluded.first_failed_at,
    dead_at = excluded.dead_at, status = excluded.status`

	// A record has the newest acts. Older ones are stored already, or are too many.
	forgetActs = `
DELETE FROM acts WHERE dead_letter = (SELECT id FROM dead_letters WHERE subscription = ? AND seq = ?) AND at >= ?`
	insertAct = `
INSERT INTO acts (at, actor, act, reason, dead_letter) SELECT ?, ?, ?, ?, id FROM dead_letters WHERE subscription = ? AND seq = ?`
)

// letterSteps returns the statements that store the dead letter of r.
func letterSteps(was answered, r *record) []row.Statement {
	status := string(map[journal.Outcome]journal.LetterStatus{
		journal.Dead: journal.LetterDead, journal.Retrying: journal.LetterReplaying, journal.Blocked: journal.LetterReplaying,
		journal.Done: journal.LetterReplayed, journal.Skipped: journal.LetterReplayed, journal.Dropped: journal.LetterDropped,
	}[r.Outcome])
	text, all, dead := r.DeadError, r.AllAttempts, row.Micros(r.DeadAt)
	if r.Outcome == journal.Dead {
		text = r.Error
	}
	switch {
	case r.Whole && all == 0:
		return nil
	case !r.Whole && r.Outcome != journal.Dead:
		return []row.Statement{row.SQL("UPDATE dead_letters SET status = ? WHERE id = ?", status, was.letter)}
	case !r.Whole && dead > was.deadAt: // attempts before a replay count; a repeated record of the same death does not
		all = was.allAttempts + r.Attempts
	case !r.Whole:
		all, dead = was.allAttempts, was.deadAt
	}
	steps := []row.Statement{row.SQL(setDeadLetter, was.seq, was.sub.id, text, r.Stack, all, row.Micros(r.FirstFailed),
		dead, status)}
	if len(r.Acts) > 0 {
		first := slices.MinFunc(r.Acts, func(a, b journal.Act) int { return a.At.Compare(b.At) })
		steps = append(steps, row.SQL(forgetActs, was.sub.id, was.seq, row.Micros(first.At)))
	}
	for _, a := range r.Acts {
		steps = append(steps, row.SQL(insertAct, row.Micros(a.At), a.Actor, a.Act, a.Reason, was.sub.id, was.seq))
	}
	return steps
}
