package react

import (
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

// React is the Router's handler of a message. React always acknowledges: the bus decides the outcome of a delivery,
// and the journal records the outcome.
func (s *Subscription[E, O]) React(msg *message.Message) error {
	ctx := msg.Context()
	d := journal.FromContext(ctx)
	if a, ok := ctx.Value(accountKey{}).(*accounted); ok {
		a.decided = true
	}
	defer s.Engine.end()
	if !s.Engine.begin() {
		return nil // the next process handles the event
	}
	started := time.Now()
	if s.past(d) {
		s.settle(ctx, d, journal.Verdict{Outcome: journal.Skipped, Started: started, Err: "published before the subscription began"})
		return nil
	}
	e, err := s.take(d)
	if err != nil {
		s.settle(ctx, d, s.undecoded(d, started, err))
		return nil
	}
	r := s.To(d.Event.Type)
	wanted, err := s.accepts(r, e)
	switch {
	case err != nil:
		s.settle(ctx, d, s.verdict(d, started, Dead(fmt.Errorf("filter: %w", err))))
	case !wanted:
		s.settle(ctx, d, journal.Verdict{Outcome: journal.Skipped, Started: started})
	case s.External > 0:
		s.callOutside(ctx, d, r, e)
	default:
		s.transact(ctx, d, r, e)
	}
	return nil
}

// undecoded returns the verdict on an event that cannot be decoded. Only a missing key may come back.
func (p *Policy) undecoded(d *journal.Delivery, started time.Time, err error) journal.Verdict {
	switch {
	case p.SkipErased && errors.Is(err, encrypt.ErrErased):
		return journal.Verdict{Outcome: journal.Skipped, Started: started, Err: err.Error()}
	case errors.Is(err, encrypt.ErrNoKey):
		return p.verdict(d, started, err)
	default:
		return p.verdict(d, started, Dead(err))
	}
}

// past reports whether the subscription is FromNow and d has an older event from another process. Such events arrive
// late or again. Events of this process need no check: their position in the log decides.
func (p *Policy) past(d *journal.Delivery) bool {
	return d.Event.Time.Before(d.Since) && !p.Engine.RunsHere(d.Event.Source)
}

// transact runs r inside a transaction of the journal. The first run gets e.
func (s *Subscription[E, O]) transact(ctx context.Context, d *journal.Delivery, r *Reaction[E, O], e E) {
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
			out, err = r.Handle(inner, a.event)
			return err
		})
		v := s.conclude(inner, d, started, out, err)
		if a.verdict = &done; v.Outcome != journal.Done {
			failed := v
			a.verdict = &failed
		}
		return v
	})
	switch {
	// In both cases of ErrAbandoned a is not used: the abandoned work may still write a.
	case errors.Is(err, journal.ErrAbandoned) && errors.Is(err, journal.ErrFailed):
		s.settle(ctx, d, s.verdict(d, began, err))
	case errors.Is(err, journal.ErrAbandoned):
		s.settle(ctx, d, s.verdict(d, time.Now().Add(-s.Timeout), fmt.Errorf("%w; mark the handler external", err)))
	case errors.Is(err, journal.ErrFailed):
		s.settle(ctx, d, s.workFailed(d, *a.verdict, began, err))
	default:
		s.report(ctx, d, a.verdict, err)
	}
}

// attempt is the state of an attempt, whose handler may run several times. Each delivery allocates one.
type attempt[E any] struct {
	event   E
	runs    int
	verdict *journal.Verdict // of the latest run; &done for every success, which needs no details
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

// conclude returns the verdict on the result of a handler, within the transaction that records the verdict.
func (s *Subscription[E, O]) conclude(
	ctx context.Context, d *journal.Delivery, started time.Time, out O, err error,
) journal.Verdict {
	var emit []*journal.Event
	if err == nil {
		emit, err = s.Seal(ctx, out, d)
	}
	if err != nil {
		return s.verdict(d, started, err)
	}
	return journal.Verdict{Outcome: journal.Done, Emit: emit, Started: started, Duration: time.Since(started)}
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

// settle records a verdict without running a handler.
func (p *Policy) settle(ctx context.Context, d *journal.Delivery, v journal.Verdict) {
	known := func(journal.TxFunc) journal.Verdict { return v }
	err := p.Engine.Journal.React(context.WithoutCancel(ctx), d, journal.Work{Name: p.Name}, known)
	p.report(ctx, d, &v, err)
}

// report logs a failure, in one line. Failures of the journal are not logged here: the journal logs its own, and
// delivers the event again.
func (p *Policy) report(ctx context.Context, d *journal.Delivery, v *journal.Verdict, err error) {
	var level slog.Level
	switch {
	case err != nil && !errors.Is(err, journal.ErrUnavailable) && !errors.Is(err, journal.ErrClosed):
		p.Engine.Logger.LogAttrs(ctx, slog.LevelError, "reaction not recorded",
			slog.String("subscription", p.Name), slog.Any("error", err))
		return
	case err == nil && v.Outcome == journal.Dead:
		level = slog.LevelError
	case err == nil && v.Outcome == journal.Retrying && !v.Waits:
		level = slog.LevelWarn
	default:
		return
	}
	p.Engine.Logger.LogAttrs(ctx, level, "reaction failed",
		slog.String("subscription", p.Name), slog.String("outcome", string(v.Outcome)),
		slog.String("event", d.Event.ID), slog.String("key", d.Event.Key), slog.String("flow", d.Event.CorrelationID),
		slog.Int("attempt", d.Attempt), slog.String("error", v.Err))
}
