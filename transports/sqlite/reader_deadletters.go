package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// DeadLetterFilter says which dead letters are wanted. The zero value is all of them.
type DeadLetterFilter struct {
	IDs          []int64              // with one of these ids
	Subscription string               // of this subscription
	Status       journal.LetterStatus // that are this now
	Type         string               // of an event of this type
	Since        time.Time            // that became dead, the last time, then or later
	Limit        int                  // the newest so many; 0 means all
}

// where returns the conditions of f and their arguments.
func (f DeadLetterFilter) where() (string, []any) {
	conditions, args := []string{"1"}, []any{}
	add := func(condition string, arg any) {
		conditions, args = append(conditions, condition), append(args, arg)
	}
	if len(f.IDs) > 0 {
		add("l.id IN (SELECT value FROM json_each(?))", list(f.IDs))
	}
	if f.Subscription != "" {
		add("s.name = ?", f.Subscription)
	}
	if f.Status != "" {
		add("l.status = ?", string(f.Status))
	}
	if f.Type != "" {
		add("e.type = ?", f.Type)
	}
	if !f.Since.IsZero() {
		add("l.dead_at >= ?", f.Since.UnixMicro())
	}
	return strings.Join(conditions, " AND "), args
}

const (
	fromDeadLetters = ` FROM dead_letters l CROSS JOIN subscriptions s ON s.id = l.subscription CROSS JOIN events e ON e.seq = l.seq WHERE `

	selectDeadLetters = `
SELECT e.seq, e.id, e.type, e.version, e.source, e.key, e.time, e.correlation_id, e.causation_id, e.subscription, e.hops, e.metadata, e.data,
       l.id, s.name, l.status, l.error, l.stack, l.attempts, l.first_failed_at, l.dead_at` + fromDeadLetters
)

// DeadLetters returns the dead letters that f wants, without what was done with them, in the order of their ids.
func (r *Reader) DeadLetters(ctx context.Context, f DeadLetterFilter) ([]journal.DeadLetter, error) {
	var letters []journal.DeadLetter
	err := r.View(ctx, func(tx *sql.Tx) (err error) {
		letters, err = deadLetters(ctx, tx, f)
		return err
	})
	return letters, err
}

// LetterStatuses returns the status of each of the dead letters with these ids.
func (r *Reader) LetterStatuses(ctx context.Context, ids []int64) (map[int64]journal.LetterStatus, error) {
	statuses := make(map[int64]journal.LetterStatus, len(ids))
	query := statement{"SELECT id, status FROM dead_letters WHERE id IN (SELECT value FROM json_each(?))", []any{list(ids)}}
	err := r.View(ctx, func(tx *sql.Tx) error {
		return each(ctx, tx, query, func(rows *sql.Rows) error {
			var id int64
			var status journal.LetterStatus
			err := rows.Scan(&id, &status)
			statuses[id] = status
			return err
		})
	})
	return statuses, err
}

func deadLetters(ctx context.Context, q queryer, f DeadLetterFilter) ([]journal.DeadLetter, error) {
	where, args := f.where()
	limit := cmp.Or(f.Limit, -1)
	letters := []journal.DeadLetter{}
	err := each(ctx, q, statement{selectDeadLetters + where + " ORDER BY l.id DESC LIMIT ?", append(args, limit)}, func(rows *sql.Rows) error {
		l, err := scanLetter(rows)
		letters = append(letters, l)
		return err
	})
	slices.Reverse(letters)
	return letters, err
}

// scanLetter reads a row of selectDeadLetters.
func scanLetter(rows scanner) (l journal.DeadLetter, err error) {
	var first, last int64
	e, err := scanEvent(rows, &l.ID, &l.Subscription, &l.Status, &l.Error, &l.Stack, &l.Attempts, &first, &last)
	if err != nil {
		return l, fmt.Errorf("sqlite: read dead letters: %w", err)
	}
	l.Event = journal.NewEventRecord(e)
	l.FirstFailed, l.DeadAt = instant(first), instant(last)
	return l, nil
}

const (
	// listDeadLetters leaves out what may be long.
	listDeadLetters = `
SELECT e.seq, e.id, e.type, e.version, e.source, e.key, e.time, e.correlation_id, e.causation_id, e.subscription, e.hops, NULL, x'',
       l.id, s.name, l.status, substr(l.error, 1, 8192), '', l.attempts, l.first_failed_at, l.dead_at` + fromDeadLetters

	letterPage = 500
)

// ListDeadLetters calls fn with the dead letters that f wants, in the order of their ids: without payload, metadata, stack, and what was
// done with them, which DeadLetter has. It reports whether f.Limit left out older ones. An error of fn ends it and is returned as it
// is. They are read in pages, and no transaction is open while fn runs.
func (r *Reader) ListDeadLetters(ctx context.Context, f DeadLetterFilter, fn func(*journal.DeadLetter) error) (more bool, err error) {
	where, args := f.where()
	after := int64(0)
	if f.Limit > 0 {
		err := r.View(ctx, func(tx *sql.Tx) error {
			n := 0
			ids := statement{"SELECT l.id" + fromDeadLetters + where + " ORDER BY l.id DESC LIMIT ?", append(slices.Clone(args), f.Limit+1)}
			return each(ctx, tx, ids, func(rows *sql.Rows) error {
				var id int64
				err := rows.Scan(&id)
				if n++; n > f.Limit {
					more, after = true, id
				}
				return err
			})
		})
		if err != nil {
			return false, err
		}
	}
	for {
		var page []journal.DeadLetter
		query := statement{listDeadLetters + where + " AND l.id > ? ORDER BY l.id LIMIT ?", append(slices.Clone(args), after, letterPage)}
		err := r.View(ctx, func(tx *sql.Tx) error {
			return each(ctx, tx, query, func(rows *sql.Rows) error {
				l, err := scanLetter(rows)
				page = append(page, l)
				return err
			})
		})
		if err != nil || len(page) == 0 {
			return more, err
		}
		after = page[len(page)-1].ID
		for i := range page {
			if err := fn(&page[i]); err != nil {
				return more, err
			}
		}
	}
}

// DeadLetter returns the dead letter with that id and all that was done with it, or an ErrNotFound.
func (r *Reader) DeadLetter(ctx context.Context, id int64) (*journal.DeadLetter, error) {
	var letters []journal.DeadLetter
	err := r.View(ctx, func(tx *sql.Tx) (err error) {
		if letters, err = deadLetters(ctx, tx, DeadLetterFilter{IDs: []int64{id}}); err != nil {
			return err
		}
		if len(letters) == 0 {
			return fmt.Errorf("%w: there is no dead letter %d", ErrNotFound, id)
		}
		letters[0].Acts, err = actsOn(ctx, tx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &letters[0], nil
}

func actsOn(ctx context.Context, q queryer, id int64) ([]journal.Act, error) {
	var acts []journal.Act
	query := statement{"SELECT at, actor, act, reason FROM acts WHERE dead_letter = ? ORDER BY id", []any{id}}
	err := each(ctx, q, query, func(rows *sql.Rows) error {
		var a journal.Act
		var at int64
		err := rows.Scan(&at, &a.Actor, &a.Act, &a.Reason)
		a.At = instant(at)
		acts = append(acts, a)
		return err
	})
	return acts, err
}

// Cause is a reason for which one subscription has dead letters.
type Cause struct {
	Subscription string    `json:"subscription"`
	Error        string    `json:"error"` // with # for each word that has a digit in it
	Count        int       `json:"count"`
	First        time.Time `json:"first_dead_at"`
	Last         time.Time `json:"last_dead_at"`
	Example      int64     `json:"example"` // id of the newest of these dead letters
}

// Causes groups the dead letters that f wants by subscription and error, the most frequent first.
func (r *Reader) Causes(ctx context.Context, f DeadLetterFilter) ([]Cause, error) {
	type cause struct{ subscription, text string }
	found := map[cause]*Cause{}
	_, err := r.ListDeadLetters(ctx, f, func(l *journal.DeadLetter) error {
		c := cause{l.Subscription, normalise(l.Error)}
		known := found[c]
		if known == nil {
			known = &Cause{Subscription: c.subscription, Error: c.text, First: l.DeadAt, Last: l.DeadAt}
			found[c] = known
		}
		known.Count++
		known.Example = l.ID
		if l.DeadAt.Before(known.First) {
			known.First = l.DeadAt
		}
		if l.DeadAt.After(known.Last) {
			known.Last = l.DeadAt
		}
		return nil
	})
	causes := make([]Cause, 0, len(found))
	for _, c := range found {
		causes = append(causes, *c)
	}
	slices.SortFunc(causes, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Subscription, b.Subscription), cmp.Compare(a.Error, b.Error))
	})
	return causes, err
}

// withDigit is a word that is, or has in it, a number: an amount, a time, an id.
var withDigit = regexp.MustCompile(`[\pL\pN_-]*\pN[\pL\pN_-]*`)

// normalise takes out of an error what differs from one event to the next.
func normalise(text string) string { return withDigit.ReplaceAllString(text, "#") }

// Removed reports whether the program that ran last on the journal does not have a subscription that one before it had.
func (r *Reader) Removed(ctx context.Context, subscription string) (removed bool, err error) {
	err = r.View(ctx, func(tx *sql.Tx) error {
		names, err := retiredNames(ctx, tx)
		removed = names[subscription]
		return err
	})
	return removed, err
}
