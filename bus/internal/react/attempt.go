package react

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/encrypt"
	"github.com/troupebus/troupe/bus/internal/backoff"
	"github.com/troupebus/troupe/bus/internal/guard"
	"github.com/troupebus/troupe/bus/journal"
)

// React is the Router's handler of a message. The bus decides the outcome of a delivery, and the journal records the
// outcome. With middleware, React returns the error of an attempt that failed, after the record. A further call for the
// message does not run the handler again, and returns the same error. Without middleware, React always acknowledges.
func (s *Subscription[E, O]) React(msg *message.Message) error {
	ctx := msg.Context()
	d := journal.FromContext(ctx)
	a, _ := ctx.Value(accountKey{}).(*accounted)
	if a == nil {
		_ = s.react(ctx, d) // the Router would only log the error once more
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun.CompareAndSwap(false, true) {
		a.err = s.react(ctx, d)
	}
	return a.err
}

// react attempts d, and returns the error of an attempt that failed.
func (s *Subscription[E, O]) react(ctx context.Context, d *journal.Delivery) error {
	defer s.Engine.end()
	if !s.Engine.begin() {
		return nil // the next process handles the event
	}
	started := time.Now()
	if s.past(d) {
		return s.skip(ctx, d, started, journal.TooOld)
	}
	e, err := s.take(d)
	if err != nil {
		return s.undecoded(ctx, d, started, err)
	}
	r := s.To(d.Event.Type)
	wanted, err := s.accepts(r, e)
	switch {
	case err != nil:
		return s.fail(ctx, d, started, Dead(fmt.Errorf("filter: %w", err)))
	case !wanted:
		return s.skip(ctx, d, started, "")
	case s.External > 0:
		return s.callOutside(ctx, d, r, e)
	default:
		return s.transact(ctx, d, r, e)
	}
}

// undecoded records an event that cannot be decoded. Only a missing key may come back.
func (p *Policy) undecoded(ctx context.Context, d *journal.Delivery, started time.Time, err error) error {
	switch {
	case p.SkipErased && errors.Is(err, encrypt.ErrErased):
		return p.skip(ctx, d, started, err.Error())
	case errors.Is(err, encrypt.ErrNoKey):
		return p.fail(ctx, d, started, err)
	default:
		return p.fail(ctx, d, started, Dead(err))
	}
}

// past reports whether the subscription is FromNow and d has an older event from another process. Such events arrive
// late or again. Events of this process need no check: their position in the log decides.
func (p *Policy) past(d *journal.Delivery) bool {
	return d.Event.Time.Before(d.Since) && !p.Engine.RunsHere(d.Event.Source)
}

// transact runs r inside a transaction of the journal. The first run gets e.
func (s *Subscription[E, O]) transact(ctx context.Context, d *journal.Delivery, r *Reaction[E, O], e E) error {
	ctx = context.WithoutCancel(ctx) // a middleware may have set a deadline
	a := &attempt[E]{event: e, verdict: &done}
	began := time.Now()
	work := journal.Work{Module: s.Module, Name: s.Name, Limit: s.Timeout}
	err := s.Engine.Journal.React(ctx, d, work, func(tx journal.TxFunc) journal.Verdict {
		if a.runs == 0 && s.Engine.stopping.Load() { // d has waited for the transactions of others
			return journal.Verdict{Abort: journal.ErrClosed}
		}
		started := time.Now()
		inner := (&Scope{Tx: tx, Delivery: d, policy: &s.Policy}).In(ctx)
		var out O
		err := s.Engine.Transaction(func() (err error) {
			if a.runs++; a.runs > 1 {
				if a.event, err = s.take(d); err != nil {
					return err
				}
			}
			out, err = s.handle(inner, r, a.event)
			return err
		})
		var v journal.Verdict
		v, a.err = s.conclude(inner, d, started, out, err)
		if a.verdict = &done; v.Outcome != journal.Done {
			failed := v
			a.verdict = &failed
		}
		return v
	})
	switch {
	// In both cases of ErrAbandoned a is not used: the abandoned work may still write a.
	case errors.Is(err, journal.ErrAbandoned) && errors.Is(err, journal.ErrFailed):
		return s.fail(ctx, d, began, err)
	case errors.Is(err, journal.ErrAbandoned):
		return s.fail(ctx, d, time.Now().Add(-s.Timeout), fmt.Errorf("%w; mark the handler external", err))
	case errors.Is(err, journal.ErrFailed):
		return s.settle(ctx, d, s.workFailed(d, *a.verdict, began, err), cmp.Or(a.err, err))
	default:
		return s.report(ctx, d, a.verdict, a.err, err)
	}
}

// attempt is the state of an attempt, whose handler may run several times. Each delivery allocates one.
type attempt[E any] struct {
	event   E
	runs    int
	verdict *journal.Verdict // of the latest run; &done for every success, which needs no details
	err     error            // of the latest run
}

var done = journal.Verdict{Outcome: journal.Done}

// workFailed returns the verdict on an attempt whose work cannot be committed because of err: v when the attempt had
// already failed, otherwise a failure.
func (p *Policy) workFailed(
	d *journal.Delivery, v journal.Verdict, started time.Time, err error,
) journal.Verdict {
	if v.Outcome == journal.Done || v.Outcome == "" {
		return p.verdict(d, started, err)
	}
	if text := err.Error(); strings.Contains(text, v.Err) { // the error of the journal says more
		v.Err = journal.Cut(text, journal.MaxError)
	}
	return v
}

// conclude returns the verdict on the result of a handler, within the transaction that records the verdict, and the
// error of a failure.
func (s *Subscription[E, O]) conclude(
	ctx context.Context, d *journal.Delivery, started time.Time, out O, err error,
) (journal.Verdict, error) {
	var emit []*journal.Event
	if err == nil {
		emit, err = s.Seal(ctx, out, d)
	}
	if err != nil {
		return s.verdict(d, started, err), err
	}
	return journal.Verdict{Outcome: journal.Done, Emit: emit, Started: started, Duration: time.Since(started)}, nil
}

// verdict returns the verdict on a failed attempt.
func (p *Policy) verdict(d *journal.Delivery, started time.Time, err error) journal.Verdict {
	v := journal.Verdict{
		Started: started, Duration: time.Since(started),
		Err: journal.Cut(err.Error(), journal.MaxError), Stack: journal.Cut(guard.Stack(err), journal.MaxStack),
	}
	var decided *decision
	errors.As(err, &decided)
	switch {
	case decided != nil && decided.drop:
		v.Outcome = journal.Dropped
	case decided != nil && decided.dead, p.Retry.Last(d.Attempt) && (decided == nil || !decided.waits):
		v.Outcome = journal.Dead
	default:
		pause := p.Retry.Pause(d.Attempt, p.Engine.Chance)
		if decided != nil {
			pause, v.Waits = min(decided.after, backoff.Longest), decided.waits
		}
		// RetryAt does not count from time.Now, since the clock may have been stepped.
		v.Outcome, v.RetryAt = journal.Retrying, started.Add(v.Duration+pause)
	}
	return v
}

// skip records that the handler does not want the event.
func (p *Policy) skip(ctx context.Context, d *journal.Delivery, started time.Time, why string) error {
	return p.settle(ctx, d, journal.Verdict{Outcome: journal.Skipped, Started: started, Err: why}, nil)
}

// fail records a failed attempt that began at started.
func (p *Policy) fail(ctx context.Context, d *journal.Delivery, started time.Time, err error) error {
	return p.settle(ctx, d, p.verdict(d, started, err), err)
}

// settle records a verdict without running a handler. cause is the error of a failed attempt.
func (p *Policy) settle(ctx context.Context, d *journal.Delivery, v journal.Verdict, cause error) error {
	known := func(journal.TxFunc) journal.Verdict { return v }
	err := p.Engine.Journal.React(context.WithoutCancel(ctx), d, journal.Work{Name: p.Name}, known)
	return p.report(ctx, d, &v, cause, err)
}

// report logs a failure, in one line. Failures of the journal are not logged here: the journal logs its own, and
// delivers the event again. report returns the error for middleware: cause for a retry or a dead letter, err of the
// journal without a record, and nil for other outcomes and for work that is left to the next process.
func (p *Policy) report(ctx context.Context, d *journal.Delivery, v *journal.Verdict, cause, err error) error {
	level := slog.LevelWarn
	switch {
	case errors.Is(err, journal.ErrClosed):
		return nil
	case errors.Is(err, journal.ErrUnavailable):
		if p.Engine.stopping.Load() {
			return nil
		}
		return err
	case err != nil:
		p.Engine.Logger.LogAttrs(ctx, slog.LevelError, "reaction not recorded",
			slog.String("subscription", p.Name), slog.Any("error", err))
		return err
	case v.Outcome == journal.Dead:
		level = slog.LevelError
	case v.Outcome != journal.Retrying || v.Waits:
		return nil
	}
	p.Engine.Logger.LogAttrs(ctx, level, "reaction failed",
		slog.String("subscription", p.Name), slog.String("outcome", string(v.Outcome)),
		slog.String("event", d.Event.ID), slog.String("key", d.Event.Key), slog.String("flow", d.Event.CorrelationID),
		slog.Int("attempt", d.Attempt), slog.String("error", v.Err))
	return cause
}
