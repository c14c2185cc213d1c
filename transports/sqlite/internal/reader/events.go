package reader

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
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

// Events calls fn with the events that f wants, in the order of the log, also when they are the newest. To an
// observer they come by several topics, one of which may be long behind another: its newest are those of the latest
// times, in the order of these. An error of fn ends it and is returned as it is. The journal is read in pages, and no
// transaction is open while fn runs: it may take as long as it likes. What is published meanwhile is left out.
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
