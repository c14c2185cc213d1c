package reader

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// EventFilter selects events. The zero value selects all.
type EventFilter struct {
	Types    []string  // of one of these types
	Key      string    // of this key
	Flow     string    // of this correlation id
	Since    time.Time // published then or later
	AfterSeq int64     // after this seq
	Limit    int       // 0 means all
	Newest   bool      // with Limit: the newest rather than the oldest; for an observer, by time
}

// matches returns the SQL conditions of f except the key, and their named arguments.
func (f EventFilter) matches() (string, []any) {
	conditions, args := []string{"1"}, []any{}
	if len(f.Types) > 0 {
		conditions, args = append(conditions, "type IN (SELECT value FROM json_each(:types))"), append(args, sql.Named("types", row.List(f.Types)))
	}
	if f.Flow != "" {
		conditions, args = append(conditions, "correlation_id = :flow"), append(args, sql.Named("flow", f.Flow))
	}
	if !f.Since.IsZero() {
		conditions, args = append(conditions, "time >= :since"), append(args, sql.Named("since", f.Since.UnixMicro()))
	}
	return strings.Join(conditions, " AND "), args
}

// Events calls fn with the events that f wants, in the order of the log, also with Newest. An observer receives events
// by several topics with different lags: there the newest events are the latest by time, and are ordered by time.
// Events returns an error of fn unchanged. It reads the journal in pages, and no transaction is open while fn runs.
// Events published meanwhile are left out.
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
