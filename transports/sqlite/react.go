package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/troupebus/troupe/bus/journal"
)

// errSettled: the delivery has its final answer, or another reaction is about to write the answer.
var errSettled = errors.New("sqlite: delivery is settled")

// errAnswered: the journal has a final answer to the delivery, but memory had none. The group is rolled back.
var errAnswered = errors.New("sqlite: delivery is answered")

// React implements journal.Journal.
func (j *Journal) React(ctx context.Context, d *journal.Delivery, w journal.Work,
	run func(journal.TxFunc) journal.Verdict) error {
	j.mu.Lock()
	s := j.subs[d.Subscription]
	j.mu.Unlock()
	if s == nil {
		return fmt.Errorf("sqlite: react: unknown subscription %q", d.Subscription)
	}
	f := s.find(d.Event.Seq)
	if f == nil {
		return nil
	}
	var v journal.Verdict
	it := &item{work: w}
	it.run = func(u *unit) error {
		if !f.claim(u.it) {
			return errSettled
		}
		var verdict journal.Verdict
		if err := u.user(func() { verdict = run(u.Tx) }); err != nil {
			return err
		}
		misuse := u.misuse()
		switch {
		case verdict.Abort != nil:
			return verdict.Abort
		case misuse != nil && verdict.Outcome == journal.Done:
			return u.fault(misuse)
		case misuse != nil:
			verdict.Err += " (" + misuse.Error() + ")"
		}
		verdict.Err, verdict.Stack = journal.Cut(verdict.Err, journal.MaxError), journal.Cut(verdict.Stack, journal.MaxStack)
		if err := s.record(u, d, f.again, &verdict); err != nil {
			return err
		}
		v = verdict
		return nil
	}
	err := j.writer.submit(ctx, it)
	switch {
	case errors.Is(err, errSettled):
		return nil
	case err == nil:
		s.settle(d.Event.Seq, &v)
		return nil
	case errors.Is(err, errAnswered): // the reaction is rolled back, and the delivery is done
		s.settle(d.Event.Seq, &journal.Verdict{Outcome: journal.Done})
		return nil
	case errors.Is(err, journal.ErrAbandoned), errors.Is(err, journal.ErrFailed), w.Keep: // the bus decides
		f.claimed.Store(nil)
	default:
		s.refused(d.Event.Seq, troubleDelay)
	}
	return err
}

// Do implements journal.Journal.
func (j *Journal) Do(ctx context.Context, w journal.Work, run func(journal.TxFunc) ([]*journal.Event, error)) error {
	return j.writer.submit(ctx, &item{work: w, durable: true, run: func(u *unit) error {
		var events []*journal.Event
		var err error
		if w.Delivery != nil {
			if err := j.mustBeOpen(u, w.Delivery); err != nil {
				return err
			}
		}
		if cut := u.user(func() { events, err = run(u.Tx) }); cut != nil {
			return cut
		}
		if err != nil {
			return err
		}
		if misuse := u.misuse(); misuse != nil {
			return u.fault(misuse)
		}
		if err := u.release(); err != nil {
			return err
		}
		for _, e := range events {
			if err := u.append(e); err != nil {
				return err
			}
		}
		return nil
	}})
}

// mustBeOpen returns an error when d has its final answer. On disk, another process can have answered only a delivery
// that has rows. Its act is in these rows before memory knows of it.
func (j *Journal) mustBeOpen(u *unit, d *journal.Delivery) error {
	j.mu.Lock()
	s := j.subs[d.Subscription]
	j.mu.Unlock()
	var f *flight
	if s != nil {
		f = s.find(d.Event.Seq)
	}
	outcome := ""
	if f != nil && f.again {
		err := u.queryRow("SELECT outcome FROM deliveries WHERE seq = ? AND subscription = ?", d.Event.Seq, s.id).Scan(&outcome)
		if err != nil {
			return u.refuse(err)
		}
	}
	if o := journal.Outcome(outcome); f == nil || outcome != "" && o != journal.Retrying && o != journal.Blocked {
		return fmt.Errorf("%w: the delivery of event %s to %s has its answer (%s)", journal.ErrAbandoned, d.Event.ID, d.Subscription, cmp.Or(outcome, "settled"))
	}
	return nil
}
