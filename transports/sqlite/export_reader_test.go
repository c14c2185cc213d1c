package sqlite

import (
	"context"
	"database/sql"
	"strings"

	"github.com/troupebus/troupe/transports/sqlite/internal/count"
	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// OpenReaderWithoutLocks opens a journal as where nothing can be written beside it.
var OpenReaderWithoutLocks = reader.OpenStill

// CountAll counts what can be counted, as the owner of the journal does.
func CountAll(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for more := true; more && err == nil; {
		more, err = count.CountNext(ctx, conn, &count.Recent{})
	}
	return err
}

// CauseAll gives dead letters their cause, as the owner of the journal does, n at a time.
func CauseAll(ctx context.Context, db *sql.DB, n int) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for more := true; more && err == nil; {
		more, err = count.CauseNext(ctx, conn, n)
	}
	return err
}

// PlanOfLetters is how SQLite finds the newest dead letters that f wants.
func PlanOfLetters(ctx context.Context, r *Reader, f DeadLetterFilter) (string, error) {
	var plan []string
	err := r.View(ctx, func(tx *sql.Tx) error {
		where, args, err := reader.QuickConditions(ctx, tx, f)
		if err != nil {
			return err
		}
		query := row.SQL("EXPLAIN QUERY PLAN SELECT l.id"+reader.FromLetters+where+" ORDER BY l.id DESC LIMIT 101", args...)
		return row.Each(ctx, tx, query, func(rows *sql.Rows) error {
			var id, parent, unused int
			var detail string
			err := rows.Scan(&id, &parent, &unused, &detail)
			plan = append(plan, detail)
			return err
		})
	})
	return strings.Join(plan, "\n"), err
}
