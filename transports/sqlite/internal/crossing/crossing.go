// Package crossing compares the events of two journals, and finds the missing ones.
package crossing

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// Sent is an event of one journal.
type Sent struct {
	Seq      int64 // in its journal
	ID, Type string
	Time     time.Time
}

// Unarrived returns the events of the modules c.Sources in the journal of from that are missing in the journal of to,
// although to consumes c.Types. Both transactions are of a View. Events older than the first of their
// type in to do not count: to began to consume the type then.
func Unarrived(ctx context.Context, from, to *sql.Tx, c Crossing) ([]Sent, error) {
	began := map[string]int64{}
	query := row.SQL("SELECT type, min(time) FROM events WHERE type IN (SELECT value FROM json_each(?)) GROUP BY type", row.List(c.Types))
	err := row.Each(ctx, to, query, func(rows *sql.Rows) error {
		var t string
		var first int64
		err := rows.Scan(&t, &first)
		began[t] = first
		return err
	})
	if err != nil {
		return nil, err
	}
	var late []Sent
	err = missing(ctx, from, to, row.SQL(sentWhere+"type IN (SELECT value FROM json_each(?3))"+sentPage, row.List(c.Sources), row.List(c.Types)), func(s Sent) {
		if s.Time.UnixMicro() >= began[s.Type] {
			late = append(late, s)
		}
	})
	return late, err
}

// Crossing selects the events between two journals: those of some modules and some types.
type Crossing struct{ Sources, Types []string }

// Unknown returns the events of the modules called sources that the journal of to has and the journal of from, on which
// the modules run, has not: from is seen earlier than to, or is an old copy. Both transactions are of a View. Events
// from before the modules moved to that journal do not count.
func Unknown(ctx context.Context, from, to *sql.Tx, sources []string) (unknown []Sent, err error) {
	var moved int64
	if err := from.QueryRowContext(ctx, "SELECT coalesce(max(at), 0) FROM moves WHERE state = 'done'").Scan(&moved); err != nil {
		return nil, row.Explain(err)
	}
	err = missing(ctx, to, from, row.SQL(sentWhere+"time > ?3"+sentPage, row.List(sources), moved), func(s Sent) {
		unknown = append(unknown, s)
	})
	return unknown, err
}

const (
	sentWhere = "SELECT seq, id, type, time FROM events WHERE seq > ?1 AND source IN (SELECT value FROM json_each(?2)) AND "
	sentPage  = " ORDER BY seq LIMIT 1000"

	selectMissing = `
SELECT key FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM events WHERE id = value ->> 0 AND type = value ->> 1)`
)

// missing calls fn with the events that sent finds in one journal and the other lacks. The first argument of sent is
// the seq after which a page begins.
func missing(ctx context.Context, in, from *sql.Tx, sent row.Statement, fn func(Sent)) error {
	after := int64(0)
	for {
		var page []Sent
		var ids [][2]string
		err := row.Each(ctx, in, row.SQL(sent.Text, append([]any{after}, sent.Args...)...), func(rows *sql.Rows) error {
			var s Sent
			var at int64
			err := rows.Scan(&s.Seq, &s.ID, &s.Type, &at)
			s.Time, after = row.TimeOrZero(at), s.Seq
			page, ids = append(page, s), append(ids, [2]string{s.ID, s.Type})
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		text, err := json.Marshal(ids)
		if err != nil {
			return err
		}
		err = row.Each(ctx, from, row.SQL(selectMissing, string(text)), func(rows *sql.Rows) error {
			var i int
			err := rows.Scan(&i)
			if err == nil {
				fn(page[i])
			}
			return err
		})
		if err != nil {
			return err
		}
	}
}
