package reader

import (
	"cmp"
	"context"
	"database/sql"
	"math"
	"slices"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/count"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// Cause is a reason for the dead letters of one subscription.
type Cause struct {
	Subscription string    `json:"subscription"`
	Error        string    `json:"error"` // with # for each word with a digit
	Count        int       `json:"count"`
	First        time.Time `json:"first_dead_at"`
	Last         time.Time `json:"last_dead_at"`
	Example      int64     `json:"example"` // id of the newest of these dead letters
}

// causePage is the number of dead letters without a cause that are read in one transaction.
const causePage = 20_000

// tally counts the dead letters of a cause. Times are Unix microseconds.
type tally struct {
	count       int
	first, last int64
	example     int64
}

// add adds the dead letters of another tally of the same cause.
func (t *tally) add(other tally) {
	if t.count == 0 {
		*t = other
		return
	}
	if other.last > t.last || other.last == t.last && other.example > t.example {
		t.last, t.example = other.last, other.example
	}
	t.count, t.first = t.count+other.count, min(t.first, other.first)
}

// tallies are by subscription and error.
type tallies map[int64]map[string]*tally

func (t tallies) add(subscription int64, text []byte, one tally) {
	of := t[subscription]
	if of == nil {
		of = map[string]*tally{}
		t[subscription] = of
	}
	if of[string(text)] == nil {
		of[string(text)] = &tally{}
	}
	of[string(text)].add(one)
}

// Causes groups the dead letters that f wants by subscription and error, the most frequent first. An index counts the
// dead letters that have a cause from the owner of the journal; all others are read.
func (r *Reader) Causes(ctx context.Context, f DeadLetterFilter) ([]Cause, error) {
	found, names := tallies{}, map[int64]string{}
	var others []int64
	err := r.View(ctx, func(tx *sql.Tx) (err error) {
		if others, err = found.indexed(ctx, tx, f); err != nil {
			return err
		}
		return row.Each(ctx, tx, row.SQL("SELECT id, name FROM subscriptions"), func(rows *sql.Rows) error {
			var id int64
			var name string
			err := rows.Scan(&id, &name)
			names[id] = name
			return err
		})
	})
	for len(others) > 0 && err == nil {
		n := min(len(others), causePage)
		err = r.View(ctx, func(tx *sql.Tx) error { return found.read(ctx, tx, others[:n]) })
		others = others[n:]
	}
	if err != nil {
		return nil, err
	}
	causes := []Cause{}
	for subscription, errors := range found {
		for text, t := range errors {
			causes = append(causes, Cause{names[subscription], text, t.count, row.Time(t.first), row.Time(t.last), t.example})
		}
	}
	slices.SortFunc(causes, func(a, b Cause) int {
		return cmp.Or(
			cmp.Compare(b.Count, a.Count), cmp.Compare(a.Subscription, b.Subscription), cmp.Compare(a.Error, b.Error))
	})
	return causes, nil
}

const (
	// countCause counts the dead letters of each cause that have the status ?1 and became dead at ?2 or later.
	countCause = `
SELECT c.subscription, c.error, (SELECT count(*)` + ofCause + `), coalesce((SELECT min(l.dead_at)` + ofCause + `), 0),
	coalesce((SELECT l.dead_at` + ofCause + newest + `), 0), coalesce((SELECT l.id` + ofCause + newest + `), 0)
FROM causes c WHERE (?3 = '' OR c.type = ?3) AND (?4 = '' OR c.subscription = (SELECT id FROM subscriptions WHERE name = ?4))`

	ofCause = ` FROM dead_letters l WHERE l.cause = c.id AND l.status = ?1 AND l.dead_at >= ?2`
	newest  = ` ORDER BY l.dead_at DESC, l.id DESC LIMIT 1`
)

var letterStatuses = []journal.LetterStatus{
	journal.LetterDead, journal.LetterReplaying, journal.LetterReplayed, journal.LetterDropped,
}

// indexed counts the wanted dead letters by the index of causes, and returns the ids of all others. The index knows no
// limit: with a limit in f, indexed counts none and returns all wanted ids.
func (t tallies) indexed(ctx context.Context, tx *sql.Tx, f DeadLetterFilter) (others []int64, err error) {
	if f.Limit > 0 || len(f.IDs) > 0 {
		where, args, err := f.quickest(ctx, tx)
		if err != nil {
			return nil, err
		}
		return row.IDs(ctx, tx, row.SQL("SELECT l.id"+FromLetters+where+" ORDER BY l.id DESC LIMIT ?", append(args, cmp.Or(f.Limit, -1))...))
	}
	since := int64(math.MinInt64)
	if !f.Since.IsZero() {
		since = f.Since.UnixMicro()
	}
	for _, status := range letterStatuses {
		if f.Status != "" && f.Status != status {
			continue
		}
		var subscription int64
		var text sql.RawBytes
		query := row.SQL(countCause, string(status), since, f.Type, f.Subscription)
		err := row.Each(ctx, tx, query, func(rows *sql.Rows) error {
			var one tally
			if err := rows.Scan(&subscription, &text, &one.count, &one.first, &one.last, &one.example); err != nil {
				return err
			}
			if one.count > 0 {
				t.add(subscription, text, one)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	where, args := f.where()
	return row.IDs(ctx, tx, row.SQL("SELECT l.id FROM dead_letters l INDEXED BY dead_letters_new WHERE l.cause IS NULL AND "+where, args...))
}

// read counts the dead letters with these ids.
func (t tallies) read(ctx context.Context, tx *sql.Tx, ids []int64) error {
	const query = `
SELECT id, subscription, substr(error, 1, ` + count.MaxCause + `), dead_at FROM dead_letters WHERE id IN (SELECT value FROM json_each(?))`
	var text sql.RawBytes
	var id, subscription, dead int64
	to := []any{&id, &subscription, &text, &dead}
	var short []byte
	return row.Each(ctx, tx, row.SQL(query, row.List(ids)), func(rows *sql.Rows) error {
		if err := rows.Scan(to...); err != nil {
			return err
		}
		short = count.Normalise(short[:0], text)
		t.add(subscription, short, tally{1, dead, dead, id})
		return nil
	})
}
