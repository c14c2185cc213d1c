package cli

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// verifyObserved checks a whole system by the journal of its observer, which r reads: the books by the events and
// what became of them, where the program can do that. An event that is younger than before may lead to one that has
// not come yet.
func (o *options) verifyObserved(ctx context.Context, r *sqlite.Reader, before time.Time) (verification, error) {
	owner, err := o.ownerOf(ctx, r)
	if err != nil {
		return verification{}, err
	}
	v := verification{Wrong: []string{}, Program: owner.name}
	look := newObservedLook(&v, before)
	if err := r.View(ctx, func(tx *sql.Tx) error { return look.at(ctx, tx) }); err != nil {
		return v, err
	}
	early, ended := look.recent, true
	switch {
	case owner.foreign:
		v.Skipped = fmt.Sprintf("only %s knows them; this is %s", owner.runs(), o.program.Name)
	case o.program.Books.Observed == nil:
		v.Skipped = o.program.Name + " has none that are held by events alone"
	default:
		if ended, err = o.observedBooks(ctx, r, look); err != nil {
			return v, err
		}
	}
	v.Settled = look.settled && ended && look.recent == 0 && early == 0
	found, err := r.CheckAloud(ctx, gaugeOf(ctx).tell)
	if err != nil {
		return v, err
	}
	v.judge(append(found, o.missed(look.gaps)...))
	v.Stats, err = r.Stats(ctx)
	return v, err
}

// observedLook is what there is to see of an observer's journal as a whole.
type observedLook struct {
	v       *verification
	before  time.Time
	gaps    []string
	recent  int64
	settled bool // at each look
}

func newObservedLook(v *verification, before time.Time) *observedLook {
	return &observedLook{v: v, before: before, settled: true}
}

func (l *observedLook) at(ctx context.Context, tx *sql.Tx) (err error) {
	if l.gaps, err = sqlite.Gaps(ctx, tx); err != nil {
		return err
	}
	now, err := sqlite.Settled(ctx, tx)
	if err != nil {
		return err
	}
	l.settled = l.settled && now
	l.recent, l.v.Unmatched, err = sqlite.Early(ctx, tx, l.before)
	l.v.OnTheWay = int(l.recent)
	return err
}

// observedBooks reports whether every flow has ended, as far as the books know.
func (o *options) observedBooks(ctx context.Context, r *sqlite.Reader, look *observedLook) (ended bool, err error) {
	const hook = "Books.Observed"
	var audit Observer
	if err = o.program.guard(hook, func() { audit = o.program.Books.Observed(look.before) }); err != nil {
		return false, err
	}
	progress := func(done, of int64) { gaugeOf(ctx).tell("the books", done, of) }
	err = r.EachAnswered(ctx, progress, func(e *journal.Event, answers []journal.Reaction) error {
		return o.program.guard(hook, func() { audit.Add(e, answers) })
	})
	if err == nil {
		err = r.View(ctx, func(tx *sql.Tx) error {
			err := sqlite.EachDelayed(ctx, tx, func(e journal.Delayed) error {
				return o.program.guard(hook, func() { audit.Expect(e.Key) })
			})
			if err != nil {
				return err
			}
			return look.at(ctx, tx) // it has to be settled from the first look to the last one
		})
	}
	if err != nil {
		return false, err
	}
	var report Report
	if err = o.program.guard(hook, func() { report, ended = audit.Report() }); err != nil {
		return false, err
	}
	look.v.hold(report)
	return ended, nil
}

// gapsAtOnce is how many gaps are told one by one.
const gapsAtOnce = 10

// missed is what an observer did not get, with what to do about it.
func (o *options) missed(gaps []string) []string {
	if len(gaps) == 0 {
		return nil
	}
	told := slices.Clone(gaps[:min(len(gaps), gapsAtOnce)])
	if more := len(gaps) - len(told); more > 0 {
		told = append(told, count(more, "more gap"))
	}
	return append(told, fmt.Sprintf("this observer did not get all of it: stop each deployable, run '%s resend' on its journal, start it; then drop these dead letters of bus/ingest here", o.program.Name))
}
