package console

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// ReadFlows returns the flow with an id, the flow of an event, or the flows with a key. The events of an observer come
// from several topics in any order, so ReadFlows sorts these by time.
func ReadFlows(ctx context.Context, r *sqlite.Reader, id string) ([]*journal.Flow, error) {
	flows, err := r.Flow(ctx, id)
	if err != nil {
		return nil, err
	}
	observed, err := Observes(ctx, r)
	if err != nil || !observed {
		return flows, err
	}
	for _, f := range flows {
		slices.SortStableFunc(f.Events, func(a, b journal.FlowEvent) int {
			return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Hops, b.Hops))
		})
	}
	return flows, nil
}

// Observes reports whether the journal belongs to an observer.
func Observes(ctx context.Context, r *sqlite.Reader) (is bool, err error) {
	err = r.View(ctx, func(tx *sql.Tx) error {
		is, err = sqlite.Observes(ctx, tx)
		return err
	})
	return is, err
}
