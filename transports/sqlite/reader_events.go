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

// matches returns the conditions of f but for its key, and their arguments, by name.
func (f EventFilter) matches() (string, []any) {
	conditions, args := []string{"1"}, []any{}
	if len(f.Types) > 0 {
		conditions, args = append(conditions, "type IN (SELECT value FROM json_each(:types))"), append(args, sql.Named("types", list(f.Types)))
	}
	if f.Flow != "" {
		conditions, args = append(conditions, "correlation_id = :flow"), append(args, sql.Named("flow", f.Flow))
	}
	if !f.Since.IsZero() {
		conditions, args = append(conditions, "time >= :since"), append(args, sql.Named("since", f.Since.UnixMicro()))
	}
	return strings.Join(conditions, " AND "), args
}

// Events calls fn with the events that f wants, in the order of the log, also when they are the newest. To an observer they come
// by several topics, one of which may be long behind another: its newest are those of the latest times, in the order of these. An
// error of fn ends it and is returned as it is. The journal is read in pages, and no transaction is open while fn runs: it may take
// as long as it likes. What is published meanwhile is left out.
func (r *Reader) Events(ctx context.Context, f EventFilter, fn func(*journal.Event) error) error {
	p := &pages{r: r, f: f}
	if err := p.begin(ctx); err != nil {
		return err
	}
	if p.sorted != nil {
		return p.bySeq(ctx, fn)
	}
	return p.inOrder(ctx, fn)
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
