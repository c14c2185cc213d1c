package sqlite

import (
	"context"
	"database/sql"

	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// letterBatch is how many dead letters get their cause in one transaction: some milliseconds of the writer's time. A reader goes through
// those that have none.
const letterBatch = 1000

// maxCause is how many characters of an error tell its cause.
const maxCause = "8192"

// causeless reports whether at least n dead letters have no cause yet.
func causeless(ctx context.Context, q row.Queryer, n int) (bool, error) {
	found := 0
	query := row.SQL("SELECT count(*) FROM (SELECT 1 FROM dead_letters INDEXED BY dead_letters_new WHERE cause IS NULL LIMIT ?)", n)
	err := row.Each(ctx, q, query, func(rows *sql.Rows) error { return rows.Scan(&found) })
	return found == n, err
}

// causesWait reports whether there are dead letters to be given their cause.
func (j *Journal) causesWait() (wait bool) {
	_ = j.View(j.ctx, func(tx *sql.Tx) (err error) { // otherwise the next block of the log, or the next deaths, find them
		wait, err = causeless(j.ctx, tx, letterBatch)
		return err
	})
	return wait
}

// letter is a dead letter that gets its cause.
type letter struct {
	id, subscription int64
	kind, cause      string
}

const (
	selectCauseless = `
SELECT id, subscription, type, substr(error, 1, ` + maxCause + `) FROM dead_letters INDEXED BY dead_letters_new WHERE cause IS NULL ORDER BY id LIMIT ?`

	insertCause = `INSERT INTO causes (subscription, type, error) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`

	setCause = `
UPDATE dead_letters SET cause = (SELECT id FROM causes WHERE subscription = ? AND type = ? AND error = ?) WHERE id IN (SELECT value FROM json_each(?))`
)

// causeNext gives n dead letters their cause, the oldest first, and reports whether there are as many again. Where there are fewer than n,
// it does nothing.
func causeNext(ctx context.Context, c *sql.Conn, n int) (more bool, err error) {
	tx, err := begin(ctx, c)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback() }() // a no-op after Commit
	if more, err = causeless(ctx, tx, n); err != nil || !more {
		return false, err
	}
	ids := map[letter][]int64{} // by all but their ids
	var text sql.RawBytes
	err = row.Each(ctx, tx, row.SQL(selectCauseless, n), func(rows *sql.Rows) error {
		var l letter
		if err := rows.Scan(&l.id, &l.subscription, &l.kind, &text); err != nil {
			return err
		}
		id := l.id
		l.id, l.cause = 0, string(normalise(nil, text))
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
	if more, err = causeless(ctx, tx, n); err != nil {
		return false, err
	}
	return more, tx.Commit()
}
