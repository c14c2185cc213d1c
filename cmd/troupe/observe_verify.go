package main

import (
	"context"
	"database/sql"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/books"
	"github.com/troupebus/troupe/transports/sqlite"
)

// verifyObserved checks a whole system by the journal of its observer, which r reads: the books by what happened and became of
// it. What is younger than before may lead to something that has not come yet.
func verifyObserved(ctx context.Context, r *sqlite.Reader, before time.Time) (verification, error) {
	v := verification{Wrong: []string{}}
	err := r.View(ctx, func(tx *sql.Tx) error {
		settled, err := sqlite.Settled(ctx, tx)
		if err != nil {
			return err
		}
		recent, old, err := sqlite.Early(ctx, tx, before)
		if err != nil {
			return err
		}
		audit := books.NewObserved(before)
		err = sqlite.EachAnswered(ctx, tx, func(e *journal.Event, answers []journal.Reaction) error {
			audit.Add(e, answers)
			return nil
		})
		if err == nil {
			err = sqlite.EachDelayed(ctx, tx, func(e journal.Delayed) error {
				audit.Expect(e.Key)
				return nil
			})
		}
		if err != nil {
			return err
		}
		report, ended := audit.Report()
		v.Books, v.OnTheWay, v.Unmatched, v.Settled = &report, int(recent), old, settled && ended && recent == 0
		return nil
	})
	if err != nil {
		return v, err
	}
	found, err := r.CheckAloud(ctx, gaugeOf(ctx).tell)
	if err != nil {
		return v, err
	}
	v.judge(found)
	v.Stats, err = r.Stats(ctx)
	return v, err
}
