package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"
)

// Cause is a reason for which one subscription has dead letters.
type Cause struct {
	Subscription string    `json:"subscription"`
	Error        string    `json:"error"` // with # for each word that has a digit in it
	Count        int       `json:"count"`
	First        time.Time `json:"first_dead_at"`
	Last         time.Time `json:"last_dead_at"`
	Example      int64     `json:"example"` // id of the newest of these dead letters
}

// causePage is how many dead letters are grouped in one transaction.
const causePage = 20_000

// tally is what is known of a cause. Times are Unix microseconds.
type tally struct {
	count       int
	first, last int64
	example     int64
}

// Causes groups the dead letters that f wants by subscription and error, the most frequent first.
func (r *Reader) Causes(ctx context.Context, f DeadLetterFilter) ([]Cause, error) {
	found := map[int64]map[string]*tally{} // by subscription, and error
	l := letterPages{r: r}
	err := r.View(ctx, func(tx *sql.Tx) error { return l.begin(ctx, tx, f) })
	if l.limited && len(l.ids) > 0 {
		l.after = l.ids[0] - 1
	}
	for n := causePage; err == nil && n == causePage && (!l.limited || len(l.ids) > 0); {
		n, err = l.group(ctx, f, found)
	}
	if err != nil {
		return nil, err
	}
	names := map[int64]string{}
	err = r.View(ctx, func(tx *sql.Tx) error {
		return each(ctx, tx, statement{query: "SELECT id, name FROM subscriptions"}, func(rows *sql.Rows) error {
			var id int64
			var name string
			err := rows.Scan(&id, &name)
			names[id] = name
			return err
		})
	})
	causes := []Cause{}
	for subscription, errors := range found {
		for text, t := range errors {
			causes = append(causes, Cause{names[subscription], text, t.count, instant(t.first), instant(t.last), t.example})
		}
	}
	slices.SortFunc(causes, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Subscription, b.Subscription), cmp.Compare(a.Error, b.Error))
	})
	return causes, err
}

// group adds the next dead letters behind l.after to found, and returns how many there were.
func (l *letterPages) group(ctx context.Context, f DeadLetterFilter, found map[int64]map[string]*tally) (n int, err error) {
	query := statement{"SELECT l.id, l.subscription, substr(l.error, 1, 8192), l.dead_at" + f.from() + l.where + " AND l.id > ? ORDER BY l.id LIMIT ?",
		append(slices.Clone(l.args), l.after, causePage)}
	var text sql.RawBytes
	var id, subscription, dead int64
	to := []any{&id, &subscription, &text, &dead}
	var short []byte
	err = l.r.View(ctx, func(tx *sql.Tx) error {
		return each(ctx, tx, query, func(rows *sql.Rows) error {
			if err := rows.Scan(to...); err != nil {
				return err
			}
			n++
			l.after = id
			if found[subscription] == nil {
				found[subscription] = map[string]*tally{}
			}
			short = normalise(short[:0], text)
			t := found[subscription][string(short)]
			if t == nil {
				t = &tally{first: dead, last: dead}
				found[subscription][string(short)] = t
			}
			t.count, t.example = t.count+1, id
			t.first, t.last = min(t.first, dead), max(t.last, dead)
			return nil
		})
	})
	return n, err
}

// normalise appends text without what differs from one event to the next: # stands for each word that is, or has in it, a number, such as
// an amount, a time, an id.
func normalise(to, text []byte) []byte {
	for len(text) > 0 {
		word, number := 0, false
		for word < len(text) {
			r, size := rune(text[word]), 1
			if r >= utf8.RuneSelf {
				r, size = utf8.DecodeRune(text[word:])
			}
			if '0' <= r && r <= '9' || r >= utf8.RuneSelf && unicode.IsNumber(r) {
				number = true
			} else if !(r == '_' || r == '-' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r >= utf8.RuneSelf && unicode.IsLetter(r)) {
				break
			}
			word += size
		}
		if number {
			to = append(to, '#')
		} else {
			to = append(to, text[:word]...)
		}
		if text = text[word:]; len(text) > 0 { // what ended the word
			_, size := utf8.DecodeRune(text)
			to, text = append(to, text[:size]...), text[size:]
		}
	}
	return to
}
