package audit

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/term"
	"github.com/troupebus/troupe/transports/sqlite"
)

// VerifyObserved checks a whole system with the journal of an observer, which r reads. Books.Observed checks the events
// and their outcomes. Events after the time before may lead to events that are still in transit.
func VerifyObserved(ctx context.Context, o *console.Options, r *sqlite.Reader, before time.Time) (Result, error) {
	owner, err := o.OwnerOf(ctx, r)
	if err != nil {
		return Result{}, err
	}
	v := Result{Wrong: []string{}, Program: owner.Name}
	look := newObservedLook(&v, before)
	if err := r.View(ctx, func(tx *sql.Tx) error { return look.at(ctx, tx) }); err != nil {
		return v, err
	}
	early, ended := look.recent, true
	switch {
	case owner.Foreign:
		v.Skipped = foreignBooks(o, owner)
	case o.Program.Books.Observed == nil:
		v.Skipped = o.Program.Name + " has no rules for events alone"
	default:
		if ended, err = observedBooks(ctx, o, r, look); err != nil {
			return v, err
		}
	}
	v.Settled = look.settled && ended && look.recent == 0 && early == 0
	found, err := r.CheckAloud(ctx, term.GaugeOf(ctx).Show)
	if err != nil {
		return v, err
	}
	v.judge(append(found, missed(o, look.gaps)...))
	v.Stats, err = r.Stats(ctx)
	return v, err
}

// observedLook has the state of the journal of an observer.
type observedLook struct {
	v       *Result
	before  time.Time
	gaps    []string
	recent  int64
	settled bool // at every call of at
}

func newObservedLook(v *Result, before time.Time) *observedLook {
	return &observedLook{v: v, before: before, settled: true}
}

// at reads the state in tx.
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

// observedBooks checks the books, and reports whether every flow has ended.
func observedBooks(
	ctx context.Context, o *console.Options, r *sqlite.Reader, look *observedLook,
) (ended bool, err error) {
	const hook = "Books.Observed"
	var audit console.Observer
	if err = o.Program.Guard(hook, func() { audit = o.Program.Books.Observed(look.before) }); err != nil {
		return false, err
	}
	progress := func(done, of int64) { term.GaugeOf(ctx).Show("the books", done, of) }
	err = r.EachAnswered(ctx, progress, func(e *journal.Event, answers []journal.Reaction) error {
		return o.Program.Guard(hook, func() { audit.Add(e, answers) })
	})
	if err == nil {
		err = r.View(ctx, func(tx *sql.Tx) error {
			err := sqlite.EachDelayed(ctx, tx, func(e journal.Delayed) error {
				return o.Program.Guard(hook, func() { audit.Expect(e.Key) })
			})
			if err != nil {
				return err
			}
			return look.at(ctx, tx) // the journal must be settled at both times
		})
	}
	if err != nil {
		return false, err
	}
	var report console.Report
	if err = o.Program.Guard(hook, func() { report, ended = audit.Report() }); err != nil {
		return false, err
	}
	look.v.hold(report)
	return ended, nil
}

// gapsAtOnce limits the gaps in a message.
const gapsAtOnce = 10

// missed returns the gaps in the topics of an observer as texts, with advice.
func missed(o *console.Options, gaps []string) []string {
	if len(gaps) == 0 {
		return nil
	}
	shown := slices.Clone(gaps[:min(len(gaps), gapsAtOnce)])
	if more := len(gaps) - len(shown); more > 0 {
		shown = append(shown, console.Count(more, "more gap"))
	}
	return append(shown, fmt.Sprintf("this observer did not get all events: stop each deployable, run '%s resend' on its journal, and start it;"+
		" then drop these dead letters of bus/ingest here", o.Program.Name))
}
