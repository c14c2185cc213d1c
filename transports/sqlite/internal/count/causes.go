package count

import (
	"context"
	"database/sql"
	"unicode"
	"unicode/utf8"

	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// LetterBatch is the number of dead letters that get their cause in one transaction: some milliseconds of the writer's
// time. A reader goes through all dead letters without a cause.
const LetterBatch = 1000

// MaxCause is the number of characters of an error from which a cause is made.
const MaxCause = "8192"

// Causeless reports whether at least n dead letters have no cause yet.
func Causeless(ctx context.Context, q row.Queryer, n int) (bool, error) {
	found := 0
	query := row.SQL("SELECT count(*) FROM (SELECT 1 FROM dead_letters INDEXED BY dead_letters_new WHERE cause IS NULL LIMIT ?)", n)
	err := row.Each(ctx, q, query, func(rows *sql.Rows) error { return rows.Scan(&found) })
	return found == n, err
}

// letter is a dead letter without a cause.
type letter struct {
	id, subscription int64
	kind, cause      string
}

const (
	selectCauseless = `
SELECT id, subscription, type, substr(error, 1, ` + MaxCause + `) FROM dead_letters INDEXED BY dead_letters_new WHERE cause IS NULL ORDER BY id LIMIT ?`

	insertCause = `INSERT INTO causes (subscription, type, error) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`

	setCause = `
UPDATE dead_letters SET cause = (SELECT id FROM causes WHERE subscription = ? AND type = ? AND error = ?) WHERE id IN (SELECT value FROM json_each(?))`
)

// CauseNext gives the oldest n dead letters their cause, and reports whether n more have none. With fewer than n,
// CauseNext does nothing.
func CauseNext(ctx context.Context, c *sql.Conn, n int) (more bool, err error) {
	tx, err := row.Begin(ctx, c)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback() }() // a no-op after Commit
	if more, err = Causeless(ctx, tx, n); err != nil || !more {
		return false, err
	}
	ids := map[letter][]int64{} // the key has no id
	var text sql.RawBytes
	err = row.Each(ctx, tx, row.SQL(selectCauseless, n), func(rows *sql.Rows) error {
		var l letter
		if err := rows.Scan(&l.id, &l.subscription, &l.kind, &text); err != nil {
			return err
		}
		id := l.id
		l.id, l.cause = 0, string(Normalise(nil, text))
		ids[l] = append(ids[l], id)
		return nil
	})
	if err != nil {
		return false, err
	}
	for l, of := range ids {
		if _, err := tx.ExecContext(ctx, insertCause, l.subscription, l.kind, l.cause); err != nil {
			return false, err
		}
		if _, err := tx.ExecContext(ctx, setCause, l.subscription, l.kind, l.cause, row.List(of)); err != nil {
			return false, err
		}
	}
	if more, err = Causeless(ctx, tx, n); err != nil {
		return false, err
	}
	return more, tx.Commit()
}

// Normalise appends text, with # for each word that is a number or contains a digit, such as an amount, a time or an
// id. So equal failures of different events have equal texts.
func Normalise(to, text []byte) []byte {
	for len(text) > 0 {
		word, number := 0, false
		for word < len(text) {
			r, size := rune(text[word]), 1
			if r >= utf8.RuneSelf {
				r, size = utf8.DecodeRune(text[word:])
			}
			if '0' <= r && r <= '9' || r >= utf8.RuneSelf && unicode.IsNumber(r) {
				number = true
			} else if r != '_' && r != '-' && !isLetter(r) {
				break
			}
			word += size
		}
		if number {
			to = append(to, '#')
		} else {
			to = append(to, text[:word]...)
		}
		if text = text[word:]; len(text) > 0 { // the character after the word
			_, size := utf8.DecodeRune(text)
			to, text = append(to, text[:size]...), text[size:]
		}
	}
	return to
}

func isLetter(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r >= utf8.RuneSelf && unicode.IsLetter(r)
}
