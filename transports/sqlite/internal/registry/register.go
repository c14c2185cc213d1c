package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/owner"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/typechange"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// Row is the row of a subscription or consumer group.
type Row struct {
	ID, Cursor int64
	Since      time.Time            // when a subscription to new events began; zero for all events
	First      string               // the oldest name
	Starts     map[string]time.Time // of the types that the subscription gained, and wants from then on only
	Change     typechange.Change    // of the types, by Register
	Answered   bool                 // the journal may have answers of the subscription

	types   string
	retired bool
}

// A consumer group may not change its types: events of a new type before its cursor would get no answer.
const upsert = `
INSERT INTO subscriptions (name, kind, types, except_of, start_seq, cursor, since) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)
ON CONFLICT (name) DO UPDATE SET types = excluded.types, except_of = excluded.except_of, retired_at = NULL,
	retired_by = '', retired_why = ''
WHERE types = excluded.types OR kind = 'bus'
RETURNING id, cursor, since`

// Group stores the consumer group called name, which begins with the oldest event, and returns its row.
func Group(ctx context.Context, q row.RowQueryer, name string, m *wake.Match) (r Row, err error) {
	return r, r.store(ctx, q, name, "group", m, 0, 0)
}

// store stores a subscription or consumer group that begins after start and began at since.
func (r *Row) store(ctx context.Context, q row.RowQueryer, name, kind string, m *wake.Match, start, since int64) error {
	list, err := m.List()
	if err != nil {
		return err
	}
	err = q.QueryRowContext(ctx, upsert, name, kind, list, m.Except, start, since).Scan(&r.ID, &r.Cursor, &since)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s consumed other event types before, now %s: give the subscription a new name", name, list)
	}
	r.Since = row.TimeOrZero(since)
	return err
}

// Register stores the subscriptions specs, which TakeOver has given their names, and returns their rows, without those
// of subscriptions elsewhere. newest is the number of the newest event. Subscriptions of an earlier program that are
// not in specs are marked as retired. In the usual case, the program consumes the same types as before, and Register
// writes nothing. The error is an *owner.StrandedError when a subscription elsewhere has a row.
func Register(ctx context.Context, tx *sql.Tx, specs []journal.Subscription, newest int64) (rows []*Row, err error) {
	before, err := rowsBefore(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, spec := range specs {
		r := before[spec.Name]
		if spec.Elsewhere {
			if r != nil { // also when retired: it would react to its events again elsewhere
				return nil, &owner.StrandedError{Subscription: spec.Name}
			}
			continue
		}
		delete(before, spec.Name)
		if r == nil {
			r = &Row{}
		}
		if err := r.register(ctx, tx, spec, newest); err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	for _, gone := range before {
		if gone.retired {
			continue
		}
		_, err := tx.ExecContext(ctx, "UPDATE subscriptions SET retired_at = ? WHERE id = ?", time.Now().UnixMicro(), gone.ID)
		if err != nil {
			return nil, err
		}
		if err := Report(ctx, tx, gone.ID); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// register stores spec. r is the row so far; its ID is 0 for a new subscription.
func (r *Row) register(ctx context.Context, tx *sql.Tx, spec journal.Subscription, newest int64) error {
	m := wake.Of(spec)
	list, err := m.List()
	if err != nil {
		return err
	}
	known := r.ID != 0
	if !known || r.retired || r.types != list {
		start, since := int64(0), int64(0)
		if spec.FromNow {
			start, since = newest, time.Now().UnixMicro()
		}
		if r.Change, err = typechange.Of(r.types, spec); err != nil {
			return err
		}
		if err := r.store(ctx, tx, spec.Name, "bus", m, start, since); err != nil {
			return err
		}
		if r.Cursor, err = r.Change.Gain(ctx, tx, r.ID, r.Cursor, spec); err != nil {
			return err
		}
	}
	if r.Starts, err = typechange.Starts(ctx, tx, r.ID); err != nil {
		return err
	}
	if r.Answered = known || r.Starts != nil; !known {
		if r.First, err = Began(ctx, tx, spec); err != nil {
			return err
		}
	}
	if r.retired {
		return Report(ctx, tx, r.ID)
	}
	return nil
}

// rowsBefore returns the bus's subscriptions by name.
func rowsBefore(ctx context.Context, q row.Queryer) (map[string]*Row, error) {
	const query = `
SELECT name, id, cursor, since, types, coalesce(was ->> 0, name), retired_at IS NOT NULL FROM subscriptions
WHERE kind = 'bus' AND run_of = ''`
	before := map[string]*Row{}
	err := row.Each(ctx, q, row.SQL(query), func(rows *sql.Rows) error {
		var name string
		var since int64
		r := &Row{}
		err := rows.Scan(&name, &r.ID, &r.Cursor, &since, &r.types, &r.First, &r.retired)
		r.Since, before[name] = row.TimeOrZero(since), r
		return err
	})
	return before, err
}
