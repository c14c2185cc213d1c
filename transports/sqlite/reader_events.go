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
	Newest   bool      // with Limit: the newest rather than the oldest; in the journal of an observer, by their times
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

// Events calls fn with the events that f wants, in the order of the log, also when they are the newest. To an observer they come
// by several topics, one of which may be long behind another: its newest are those of the latest times, in the order of these. An
// error of fn ends it and is returned as it is. fn runs while the read transaction is open: see View.
func (r *Reader) Events(ctx context.Context, f EventFilter, fn func(*journal.Event) error) error {
	return r.View(ctx, func(tx *sql.Tx) error {
		observed := false
		if f.Newest {
			var err error
			if observed, err = Observes(ctx, tx); err != nil {
				return fmt.Errorf("sqlite: read events: %w", err)
			}
		}
		return each(ctx, tx, f.query(observed), func(rows *sql.Rows) error {
			e, err := scanEvent(rows)
			if err != nil {
				return fmt.Errorf("sqlite: read events: %w", err)
			}
			return fn(e)
		})
	})
}

// query finds the events. Those of one time are in the order of their causes.
func (f EventFilter) query(observed bool) statement {
	where, args := f.where()
	order, back := "seq", "seq DESC"
	if observed {
		order, back = "time, hops, seq", "time DESC, hops DESC, seq DESC"
	}
	switch {
	case f.Limit > 0 && f.Newest: // of those left out, nothing but what orders them is read
		where = "seq IN (SELECT seq FROM events WHERE " + where + " ORDER BY " + back + " LIMIT ?)"
		args = append(args, f.Limit)
	case f.Limit > 0:
		order += " LIMIT ?"
		args = append(args, f.Limit)
	}
	return statement{"SELECT " + eventColumns + " FROM events WHERE " + where + " ORDER BY " + order, args}
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
