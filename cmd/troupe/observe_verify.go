package main

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/shop/books"
	"github.com/troupebus/troupe/transports/sqlite"
)

// verifyObserved checks a whole system by the journal of its observer, which r reads: the books by what happened and became of
// it. What is younger than before may lead to something that has not come yet.
func verifyObserved(ctx context.Context, r *sqlite.Reader, before time.Time) (verification, error) {
	owner, err := ownerOf(ctx, r)
	if err != nil {
		return verification{}, err
	}
	v := verification{Wrong: []string{}, Program: owner.name, foreign: owner.foreign}
	var gaps []string
	var recent int64
	settled := true
	look := func(tx *sql.Tx) (err error) {
		if gaps, err = sqlite.Gaps(ctx, tx); err != nil {
			return err
		}
		now, err := sqlite.Settled(ctx, tx)
		if err != nil {
			return err
		}
		settled = settled && now
		recent, v.Unmatched, err = sqlite.Early(ctx, tx, before)
		v.OnTheWay = int(recent)
		return err
	}
	if err := r.View(ctx, look); err != nil {
		return v, err
	}
	early := recent
	audit := books.NewObserved(before)
	err = r.EachAnswered(ctx, func(done, of int64) { gaugeOf(ctx).tell("the books", done, of) }, func(e *journal.Event, answers []journal.Reaction) error {
		audit.Add(e, answers)
		return nil
	})
	if err == nil {
		err = r.View(ctx, func(tx *sql.Tx) error {
			err := sqlite.EachDelayed(ctx, tx, func(e journal.Delayed) error {
				audit.Expect(e.Key)
				return nil
			})
			if err != nil {
				return err
			}
			return look(tx) // it has to be settled from the first look to the last one
		})
	}
	if err != nil {
		return v, err
	}
	report, ended := audit.Report()
	v.Settled = settled && ended && recent == 0 && early == 0
	if !owner.foreign {
		v.Books = &report
	}
	found, err := r.CheckAloud(ctx, gaugeOf(ctx).tell)
	if err != nil {
		return v, err
	}
	v.judge(append(found, missed(gaps)...))
	v.Stats, err = r.Stats(ctx)
	return v, err
}

// gapsAtOnce is how many gaps are told one by one.
const gapsAtOnce = 10

// missed is what an observer did not get, with what to do about it.
func missed(gaps []string) []string {
	if len(gaps) == 0 {
		return nil
	}
	told := slices.Clone(gaps[:min(len(gaps), gapsAtOnce)])
	if more := len(gaps) - len(told); more > 0 {
		told = append(told, count(more, "more gap"))
	}
	return append(told, "this observer did not get all of it: stop each deployable, run 'troupe resend' on its journal, start it; then drop these dead letters of bus/ingest here")
}
