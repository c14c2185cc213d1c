package reader

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// DeadLetterFilter selects dead letters. The zero value selects all.
type DeadLetterFilter struct {
	IDs          []int64              // with these ids
	Subscription string               // of this subscription
	Status       journal.LetterStatus // with this status now
	Type         string               // of an event of this type
	Since        time.Time            // last died then or later
	Limit        int                  // the newest so many; 0 means all
}

// where returns the conditions of f and their arguments.
func (f DeadLetterFilter) where() (string, []any) {
	conditions, args := []string{"1"}, []any{}
	add := func(condition string, arg any) {
		conditions, args = append(conditions, condition), append(args, arg)
	}
	if len(f.IDs) > 0 {
		add("l.id IN (SELECT value FROM json_each(?))", row.List(f.IDs))
	}
	if f.Subscription != "" {
		add("l.subscription = (SELECT id FROM subscriptions WHERE name = ?)", f.Subscription)
	}
	if f.Status != "" {
		add("l.status = ?", string(f.Status))
	}
	if f.Type != "" {
		add("l.type = ?", f.Type)
	}
	if !f.Since.IsZero() {
		add("l.dead_at >= ?", f.Since.UnixMicro())
	}
	return strings.Join(conditions, " AND "), args
}

// fewLetters is the number of dead letters up to which an index is used. With more, a scan of all dead letters, newest
// first, is quicker.
const fewLetters = 5000

// LetterConditions returns the SQL conditions of f and their arguments. As a method it would be part of the API of
// package sqlite.
func LetterConditions(f DeadLetterFilter) (string, []any) { return f.where() }

// QuickConditions is LetterConditions, with an index if that is quicker.
func QuickConditions(ctx context.Context, q row.Queryer, f DeadLetterFilter) (string, []any, error) {
	return f.quickest(ctx, q)
}

// quickest is where, with an index of times, types or subscriptions if the index finds only few dead letters.
func (f DeadLetterFilter) quickest(ctx context.Context, q row.Queryer) (string, []any, error) {
	where, args := f.where()
	for _, by := range f.indexed() {
		n := 0
		query := row.SQL("SELECT count(*) FROM (SELECT 1"+by.Text+" LIMIT ?)", by.Args[0], fewLetters+1)
		if err := row.Each(ctx, q, query, func(rows *sql.Rows) error { return rows.Scan(&n) }); err != nil {
			return "", nil, err
		}
		if n <= fewLetters {
			return "l.id IN (SELECT id" + by.Text + ") AND " + where, append(by.Args, args...), nil
		}
	}
	return where, args, nil
}

// indexed returns the conditions of f that have an index for dead letters of any status.
func (f DeadLetterFilter) indexed() (by []row.Statement) {
	add := func(query string, arg any) {
		by = append(by, row.SQL(" FROM dead_letters INDEXED BY "+query, arg))
	}
	if !f.Since.IsZero() {
		add("dead_letters_dead_at WHERE dead_at >= ?", f.Since.UnixMicro())
	}
	if f.Type != "" && f.Subscription != "" { // the planner can use only one index
		add("dead_letters_type WHERE type = ?", f.Type)
		add("dead_letters_subscription WHERE subscription = (SELECT id FROM subscriptions WHERE name = ?)", f.Subscription)
	}
	return by
}

const (
	// FromLetters is the table of dead letters, as l.
	FromLetters = " FROM dead_letters l WHERE "

	// FromDeadLetters is FromLetters with the subscription, as s, and the event, as e.
	FromDeadLetters = ` FROM dead_letters l CROSS JOIN subscriptions s ON s.id = l.subscription CROSS JOIN events e ON e.seq = l.seq WHERE `

	selectDeadLetters = `
SELECT e.seq, e.id, e.type, e.version, e.source, e.key, e.time, e.correlation_id, e.causation_id, e.subscription, e.hops, e.metadata, e.data,
       l.id, s.name, l.status, l.error, l.stack, l.attempts, l.first_failed_at, l.dead_at` + FromDeadLetters
)

// DeadLetters returns the dead letters that f wants, without the acts on them, by id.
func (r *Reader) DeadLetters(ctx context.Context, f DeadLetterFilter) ([]journal.DeadLetter, error) {
	var letters []journal.DeadLetter
	err := r.View(ctx, func(tx *sql.Tx) (err error) {
		letters, err = ReadDeadLetters(ctx, tx, f)
		return err
	})
	return letters, err
}

// LetterStatuses returns the status of each dead letter with one of ids.
func (r *Reader) LetterStatuses(ctx context.Context, ids []int64) (map[int64]journal.LetterStatus, error) {
	statuses := make(map[int64]journal.LetterStatus, len(ids))
	query := row.SQL("SELECT id, status FROM dead_letters WHERE id IN (SELECT value FROM json_each(?))", row.List(ids))
	err := r.View(ctx, func(tx *sql.Tx) error {
		return row.Each(ctx, tx, query, func(rows *sql.Rows) error {
			var id int64
			var status journal.LetterStatus
			err := rows.Scan(&id, &status)
			statuses[id] = status
			return err
		})
	})
	return statuses, err
}

// ReadDeadLetters returns the dead letters that f wants, by id.
func ReadDeadLetters(ctx context.Context, q row.Queryer, f DeadLetterFilter) ([]journal.DeadLetter, error) {
	where, args := f.where()
	limit := cmp.Or(f.Limit, -1)
	letters := []journal.DeadLetter{}
	err := row.Each(ctx, q, row.SQL(selectDeadLetters+where+" ORDER BY l.id DESC LIMIT ?", append(args, limit)...), func(rows *sql.Rows) error {
		l, err := scanLetter(rows)
		letters = append(letters, l)
		return err
	})
	slices.Reverse(letters)
	return letters, err
}

// scanLetter reads a row of selectDeadLetters.
func scanLetter(rows row.Scanner) (l journal.DeadLetter, err error) {
	var first, last int64
	e, err := row.ScanEvent(rows, &l.ID, &l.Subscription, &l.Status, &l.Error, &l.Stack, &l.Attempts, &first, &last)
	if err != nil {
		return l, fmt.Errorf("read dead letters: %w", err)
	}
	l.Event = journal.NewEventRecord(e)
	l.FirstFailed, l.DeadAt = row.Time(first), row.Time(last)
	return l, nil
}

const (
	// listDeadLetters leaves out long columns.
	listDeadLetters = `
SELECT e.seq, e.id, e.type, e.version, e.source, e.key, e.time, e.correlation_id, e.causation_id, e.subscription, e.hops, NULL, x'',
       l.id, s.name, l.status, substr(l.error, 1, 8192), '', l.attempts, l.first_failed_at, l.dead_at` + FromDeadLetters

	letterPage = 500
)

// ListDeadLetters calls fn with the dead letters that f wants, by id, without payload, metadata, stack and acts (see
// DeadLetter). It reports whether f.Limit left out older ones, and returns an error of fn unchanged. It reads pages: no
// transaction is open while fn runs.
func (r *Reader) ListDeadLetters(
	ctx context.Context, f DeadLetterFilter, fn func(*journal.DeadLetter) error,
) (more bool, err error) {
	l := letterPages{r: r}
	if err := r.View(ctx, func(tx *sql.Tx) error { return l.begin(ctx, tx, f) }); err != nil {
		return false, err
	}
	for !l.over {
		page, err := l.next(ctx)
		if err != nil {
			return l.more, err
		}
		for i := range page {
			if err := fn(&page[i]); err != nil {
				return l.more, err
			}
		}
	}
	return l.more, nil
}

// letterPages reads the dead letters for a filter in pages.
type letterPages struct {
	r       *Reader
	where   string
	args    []any
	limited bool    // ids are the remaining ones; otherwise all after after remain
	ids     []int64 // ascending
	after   int64
	more    bool // older ones are left out
	over    bool
}

// begin finds the newest ids when f has a limit.
func (l *letterPages) begin(ctx context.Context, tx *sql.Tx, f DeadLetterFilter) (err error) {
	if l.where, l.args, err = f.quickest(ctx, tx); err != nil || f.Limit == 0 {
		return err
	}
	l.limited = true
	query := row.SQL("SELECT l.id"+FromLetters+l.where+" ORDER BY l.id DESC LIMIT ?", append(slices.Clone(l.args), f.Limit+1)...)
	l.ids, err = row.IDs(ctx, tx, query)
	if l.more = len(l.ids) > f.Limit; l.more {
		l.ids = l.ids[:f.Limit]
	}
	slices.Reverse(l.ids)
	return err
}

// next reads the next page, and sets l.over after the last.
func (l *letterPages) next(ctx context.Context) (page []journal.DeadLetter, err error) {
	query := row.SQL(listDeadLetters+l.where+" AND l.id > ? ORDER BY l.id LIMIT ?", append(slices.Clone(l.args), l.after, letterPage)...)
	if l.limited {
		n := min(len(l.ids), letterPage)
		query = row.SQL(listDeadLetters+"l.id IN (SELECT value FROM json_each(?)) AND "+l.where+" ORDER BY l.id", append([]any{row.List(l.ids[:n])}, l.args...)...)
		l.ids = l.ids[n:]
		l.over = len(l.ids) == 0
	}
	err = l.r.View(ctx, func(tx *sql.Tx) error {
		return row.Each(ctx, tx, query, func(rows *sql.Rows) error {
			letter, err := scanLetter(rows)
			page = append(page, letter)
			return err
		})
	})
	if !l.limited && len(page) < letterPage {
		l.over = true
	} else if len(page) > 0 {
		l.after = page[len(page)-1].ID
	}
	return page, err
}

// DeadLetter returns the dead letter with this id and the acts on it, or an ErrNotFound.
func (r *Reader) DeadLetter(ctx context.Context, id int64) (*journal.DeadLetter, error) {
	var letters []journal.DeadLetter
	err := r.View(ctx, func(tx *sql.Tx) (err error) {
		if letters, err = ReadDeadLetters(ctx, tx, DeadLetterFilter{IDs: []int64{id}}); err != nil {
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

func actsOn(ctx context.Context, q row.Queryer, id int64) ([]journal.Act, error) {
	var acts []journal.Act
	query := row.SQL("SELECT at, actor, act, reason FROM acts WHERE dead_letter = ? ORDER BY id", id)
	err := row.Each(ctx, q, query, func(rows *sql.Rows) error {
		var a journal.Act
		var at int64
		err := rows.Scan(&at, &a.Actor, &a.Act, &a.Reason)
		a.At = row.Time(at)
		acts = append(acts, a)
		return err
	})
	return acts, err
}

// Removed reports whether the program that ran last lacks a subscription of an earlier program.
func (r *Reader) Removed(ctx context.Context, subscription string) (removed bool, err error) {
	err = r.View(ctx, func(tx *sql.Tx) error {
		names, err := RetiredNames(ctx, tx)
		removed = names[subscription]
		return err
	})
	return removed, err
}
