package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
)

// errSettled: the delivery has its final answer, or another reaction is about to write the answer.
var errSettled = errors.New("sqlite: delivery is settled")

// done stands for all verdicts after which a delivery is settled for ever.
var done = journal.Verdict{Outcome: journal.Done}

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
	v := &done
	it := &commit.Item{Work: w}
	it.Run = func(u *commit.Unit) error {
		if !f.claim(u.Item()) {
			return errSettled
		}
		var verdict journal.Verdict
		if err := u.Call(func() { verdict = run(u.Tx) }); err != nil {
			return err
		}
		misuse := u.Misuse()
		switch {
		case verdict.Abort != nil:
			return verdict.Abort
		case misuse != nil && verdict.Outcome == journal.Done:
			return u.Fault(misuse)
		case misuse != nil:
			verdict.Err += " (" + misuse.Error() + ")"
		}
		verdict.Err, verdict.Stack = journal.Cut(verdict.Err, journal.MaxError), journal.Cut(verdict.Stack, journal.MaxStack)
		if err := s.record(u, d, f.again, &verdict); err != nil {
			return err
		}
		if v = &done; verdict.Outcome == journal.Retrying || verdict.Outcome == journal.Dead {
			open := verdict
			v = &open
		}
		return nil
	}
	err := j.writer.Submit(ctx, it)
	switch {
	case errors.Is(err, errSettled):
		return nil
	case err == nil:
		s.settle(d.Event.Seq, v)
		return nil
	case errors.Is(err, commit.ErrAnswered): // the reaction is rolled back, and the delivery is done
		s.settle(d.Event.Seq, &done)
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
	return j.writer.Submit(ctx, &commit.Item{Work: w, Durable: true, Run: commit.Once(func(u *commit.Unit) error {
		var events []*journal.Event
		var err error
		if w.Delivery != nil {
			if err := j.mustBeOpen(u, w.Delivery); err != nil {
				return err
			}
		}
		if w.Tick != nil {
			if err := j.moveOn(u, w.Tick); err != nil {
				return err
			}
		}
		if cut := u.Call(func() { events, err = run(u.Tx) }); cut != nil {
			return cut
		}
		if err != nil {
			return err
		}
		if misuse := u.Misuse(); misuse != nil {
			return u.Fault(misuse)
		}
		if err := u.Release(); err != nil {
			return err
		}
		for _, e := range events {
			if err := u.Append(e); err != nil {
				return err
			}
		}
		return nil
	})})
}

// mustBeOpen returns an error when d has its final answer. On disk, another process can have answered only a delivery
// that has rows. Its act is in these rows before memory knows of it.
func (j *Journal) mustBeOpen(u *commit.Unit, d *journal.Delivery) error {
	j.mu.Lock()
	s := j.subs[d.Subscription]
	j.mu.Unlock()
	var f *flight
	if s != nil {
		f = s.find(d.Event.Seq)
	}
	outcome := ""
	if f != nil && f.again {
		err := u.QueryRow("SELECT outcome FROM deliveries WHERE seq = ? AND subscription = ?", d.Event.Seq, s.id).Scan(&outcome)
		if err != nil {
			return u.Refuse(err)
		}
	}
	if o := journal.Outcome(outcome); f == nil || outcome != "" && o != journal.Retrying && o != journal.Blocked {
		return fmt.Errorf("%w: the delivery of event %s to %s has its answer (%s)", journal.ErrAbandoned, d.Event.ID, d.Subscription, cmp.Or(outcome, "settled"))
	}
	return nil
}
