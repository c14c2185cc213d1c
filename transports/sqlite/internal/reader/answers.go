package reader

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/count"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// Observes reports whether the journal that tx, of a View, reads is an observer's.
func Observes(ctx context.Context, tx *sql.Tx) (is bool, err error) {
	err = tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM observer)").Scan(&is)
	return is, row.Explain(err)
}

// Early counts the records in an observer's journal whose events have not come. Recent ones are of answers given at
// before or later: their events are in transit. The events of old ones may be lost, or were never sent: they are older
// than the second deployable of the system.
func Early(ctx context.Context, tx *sql.Tx, before time.Time) (recent, old int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT count(*) FILTER (WHERE at >= ?1), count(*) FILTER (WHERE at < ?1) FROM early_records", before.UnixMicro()).Scan(&recent, &old)
	return recent, old, row.Explain(err)
}

const (
	eventsBetween = "SELECT " + row.EventColumns + " FROM events WHERE seq > ? AND seq <= ? ORDER BY seq"

	answersBetween = `
SELECT d.seq, s.name, d.outcome, d.attempts, d.started_at, d.duration, coalesce(d.error, '')
FROM deliveries d CROSS JOIN subscriptions s ON s.id = d.subscription WHERE d.seq > ? AND d.seq <= ? ORDER BY d.seq`
)

// EachAnswered calls fn with every event of the journal, in the order of the log, with the answer of each subscription
// that wants the event. Without a record, the answer is Waiting or Skipped. Answers lack the dead letter, the time of
// the next attempt, and the blocking event. EachAnswered returns an error of fn unchanged. It reads the log in parts,
// each in a transaction of its own, up to the newest event at the start; answers may be younger. progress receives the
// seqs done.
func (r *Reader) EachAnswered(
	ctx context.Context, progress func(done, of int64), fn func(*journal.Event, []journal.Reaction) error,
) error {
	var head int64
	err := r.View(ctx, func(tx *sql.Tx) error {
		return row.Explain(tx.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM events").Scan(&head))
	})
	for after := int64(0); err == nil && after < head; {
		progress(after, head)
		var p logPart
		upto := min(after+count.BlockSize, head)
		if err = r.View(ctx, func(tx *sql.Tx) error { return p.read(ctx, tx, after, upto) }); err != nil {
			break
		}
		for i, e := range p.events {
			if err := fn(e, p.answers[i]); err != nil {
				return err
			}
		}
		after = p.upto
	}
	return err
}

// logPart is a part of the log with the answers to its events.
type logPart struct {
	upto    int64
	events  []*journal.Event
	answers [][]journal.Reaction // one list per event
}

// read reads the events after after, up to upto or until a page is full, and their answers.
func (p *logPart) read(ctx context.Context, tx *sql.Tx, after, upto int64) error {
	known, err := newAnswers(ctx, tx)
	if err != nil {
		return err
	}
	p.upto = upto
	bytes := 0
	err = row.Each(ctx, tx, row.SQL(eventsBetween, after, upto), func(rows *sql.Rows) error {
		e, err := row.ScanEvent(rows)
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		p.events = append(p.events, e)
		if bytes += len(e.Data); bytes >= pageBytes {
			p.upto = e.Seq
			return errFull
		}
		return nil
	})
	if err != nil && !errors.Is(err, errFull) {
		return err
	}
	p.answers = make([][]journal.Reaction, len(p.events))
	at := 0
	err = row.Each(ctx, tx, row.SQL(answersBetween, after, p.upto), func(rows *sql.Rows) error {
		var a journal.Reaction
		var seq, started, duration int64
		if err := rows.Scan(&seq, &a.Subscription, &a.Outcome, &a.Attempts, &started, &duration, &a.Error); err != nil {
			return err
		}
		for at < len(p.events) && p.events[at].Seq < seq {
			at++
		}
		if at < len(p.events) && p.events[at].Seq == seq {
			a.Started, a.Duration = row.TimeOrZero(started), time.Duration(duration)*time.Microsecond
			p.answers[at] = append(p.answers[at], a)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, e := range p.events {
		for _, c := range known.subs {
			recorded := func(r journal.Reaction) bool { return r.Subscription == c.name }
			if c.match.Except || !c.match.Wants(e.Type) || slices.ContainsFunc(p.answers[i], recorded) {
				continue
			}
			p.answers[i] = append(p.answers[i], c.unrecorded(e.Seq))
		}
	}
	return nil
}

// EachDelayed calls fn with every delayed event that tx, of a View, sees. EachDelayed returns an error of fn unchanged.
func EachDelayed(ctx context.Context, tx *sql.Tx, fn func(journal.Delayed) error) error {
	return row.Each(ctx, tx, row.SQL(SelectDelayed, 0, -1), func(rows *sql.Rows) error {
		_, d, err := ScanDelayed(rows)
		if err != nil {
			return fmt.Errorf("read delayed events: %w", err)
		}
		return fn(d)
	})
}
