package row

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
)

// Statement is an SQL statement with its arguments.
type Statement struct {
	Text string
	Args []any
}

// SQL returns the statement text with args.
func SQL(text string, args ...any) Statement { return Statement{text, args} }

// Queryer runs a query that returns rows: a *sql.DB, a *sql.Conn or a *sql.Tx.
type Queryer interface {
	// QueryContext runs query with args.
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// RowQueryer runs a query that returns at most one row: a *sql.DB, a *sql.Conn or a *sql.Tx.
type RowQueryer interface {
	// QueryRowContext runs query with args.
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Each runs s and calls fn with every row. Each returns an error of fn unchanged.
func Each(ctx context.Context, q Queryer, s Statement, fn func(*sql.Rows) error) error {
	rows, err := q.QueryContext(ctx, s.Text, s.Args...)
	if err != nil {
		return fmt.Errorf("read: %w", Explain(err))
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read: %w", Explain(err))
	}
	return nil
}

// IDs returns the first column of every row.
func IDs(ctx context.Context, q Queryer, query Statement) (ids []int64, err error) {
	err = Each(ctx, q, query, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

// List returns values as one JSON argument for json_each.
func List[T string | int64](values []T) string {
	b, _ := json.Marshal(values) // neither kind of value can fail
	return string(b)
}

// UpsertPending writes a row of pending: an open delivery.
const UpsertPending = `
INSERT INTO pending (subscription, key, seq, state, attempts, due_at, failed_at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (subscription, key, seq) DO UPDATE
SET state = excluded.state, attempts = excluded.attempts, due_at = excluded.due_at, failed_at = excluded.failed_at`
