package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// EventFilter says which events are wanted. The zero value is all of them.
type EventFilter struct {
	Types    []string  // of one of these types
	Key      string    // of this key
	Flow     string    // of this correlation id
	Since    time.Time // published then or later
	AfterSeq int64     // behind this one in the log
	Limit    int       // at most so many; 0 means all
	Newest   bool      // with Limit: the newest rather than the oldest
}

// where returns the conditions of f and their arguments.
func (f EventFilter) where() (string, []any) {
	conditions, args := []string{"seq > ?"}, []any{f.AfterSeq}
	if len(f.Types) > 0 {
		conditions, args = append(conditions, "type IN (SELECT value FROM json_each(?))"), append(args, list(f.Types))
	}
	if f.Key != "" {
		conditions, args = append(conditions, "key = ?"), append(args, f.Key)
	}
	if f.Flow != "" {
		conditions, args = append(conditions, "correlation_id = ?"), append(args, f.Flow)
	}
	if !f.Since.IsZero() {
		conditions, args = append(conditions, "time >= ?"), append(args, f.Since.UnixMicro())
	}
	return strings.Join(conditions, " AND "), args
}

// Events calls fn with the events that f wants, in the order of the log, also when they are the newest. An error of fn
// ends it and is returned as it is. fn runs while the read transaction is open: see View.
func (r *Reader) Events(ctx context.Context, f EventFilter, fn func(*journal.Event) error) error {
	where, args := f.where()
	query := "SELECT " + eventColumns + " FROM events WHERE " + where + " ORDER BY seq"
	if f.Limit > 0 {
		args = append(args, f.Limit)
		if f.Newest {
			query = "SELECT * FROM (" + query + " DESC LIMIT ?) ORDER BY seq"
		} else {
			query += " LIMIT ?"
		}
	}
	return r.View(ctx, func(tx *sql.Tx) error {
		return each(ctx, tx, statement{query, args}, func(rows *sql.Rows) error {
			e, err := scanEvent(rows)
			if err != nil {
				return fmt.Errorf("sqlite: read events: %w", err)
			}
			return fn(e)
		})
	})
}

// list is the one argument for json_each that stands for any number of values.
func list[T string | int64](values []T) string {
	b, _ := json.Marshal(values) // neither kind of value can fail
	return string(b)
}

// statement is SQL with its arguments.
type statement struct {
	query string
	args  []any
}

// each calls fn with every row. An error of fn is returned as it is.
func each(ctx context.Context, q queryer, s statement, fn func(*sql.Rows) error) error {
	rows, err := q.QueryContext(ctx, s.query, s.args...)
	if err != nil {
		return fmt.Errorf("sqlite: read: %w", explain(err))
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("sqlite: read: %w", explain(err))
	}
	return nil
}
