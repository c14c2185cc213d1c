package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/internal/guard"
	"github.com/troupebus/troupe/bus/internal/names"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
)

// inTransactions is the number of deliveries of a transactional subscription that are in flight at once: enough to
// fill the writer's groups.
const inTransactions = 128

// subscription is a handler with its policy.
type subscription struct {
	bus       *Bus
	module    *Module
	name      string
	reactions []*reaction
	patterns  []string // OnAll
	emits     map[string]bool
	external  int // calls at a time; 0 for a transactional handler
	timeout   time.Duration
	limit     time.Duration // the timeout that Handler.Timeout set; 0 for the bus's
	wiredAt   string        // file and line of the call of On
	retry     Retry
	calls     chan struct{} // the capacity limits the external calls that run at once
	park      bool
	fromNow   bool
	names     names.Names
	anyOrder  bool
	except    []string

	want func(Event) bool // Handler.When
}

func (s *subscription) spec() journal.Subscription {
	spec := journal.Subscription{
		Name: s.name, Types: s.types(), Parallel: inTransactions, FromNow: s.fromNow, Park: s.park, Except: s.except,
		FromStart: s.names.FromStart, Was: s.names.Was, Version: s.names.Version,
		Emits: slices.Sorted(maps.Keys(s.emits)), Bare: len(s.bus.cfg.Middleware) == 0,
	}
	if s.external > 0 {
		spec.Parallel, spec.Outside = s.external, true
		s.calls = make(chan struct{}, callLimitFactor*s.external)
	}
	for _, r := range s.reactions {
		if r.fromNow {
			spec.TypesFromNow = append(spec.TypesFromNow, r.eventType)
		}
	}
	spec.Prepare = func(e *journal.Event) any {
		p := &prepared{}
		p.event, p.err = s.prepare(e)
		return p
	}
	return spec
}

// prepared is a decoded event, or the error of decoding.
type prepared struct {
	event Event
	err   error
	taken atomic.Bool
}

func (s *subscription) prepare(e *journal.Event) (decoded Event, err error) {
	_, panicked := protect(func() (Events, error) {
		decoded, err = s.decode(e)
		return nil, nil
	})
	return decoded, errors.Join(err, panicked)
}

// take returns the event of d for a run of the handler. A handler may change the event, so that each run gets an event
// of its own.
func (s *subscription) take(d *journal.Delivery) (Event, error) {
	p := d.Prepared.(*prepared)
	if p.taken.CompareAndSwap(false, true) {
		return p.event, p.err
	}
	return s.prepare(d.Event)
}

// react is the Router's handler of a message. react always acknowledges: the bus decides the outcome of a delivery,
// and the journal records the outcome.
func (s *subscription) react(msg *message.Message) error {
	ctx := msg.Context()
	d := journal.FromContext(ctx)
	if a, ok := ctx.Value(accountKey{}).(*accounted); ok {
		a.decided = true
	}
	defer s.bus.end()
	if !s.bus.begin() {
		return nil // the next process handles the event
	}
	started := time.Now()
	if s.past(d) {
		s.settle(ctx, d, journal.Verdict{Outcome: journal.Skipped, Started: started, Err: "published before the subscription began"})
		return nil
	}
	e, err := s.take(d)
	if err != nil {
		s.settle(ctx, d, s.verdict(d, started, Dead(err)))
		return nil
	}
	r := s.reactionTo(d.Event.Type)
	if s.want != nil || r.wants != nil {
		wanted := false
		_, err := s.bus.transaction(func() (Events, error) { wanted = s.accepts(r, e); return nil, nil })
		if err != nil {
			s.settle(ctx, d, s.verdict(d, started, Dead(fmt.Errorf("filter: %w", err))))
			return nil
		}
		if !wanted {
			s.settle(ctx, d, journal.Verdict{Outcome: journal.Skipped, Started: started})
			return nil
		}
	}
	if s.external > 0 {
		s.callOutside(ctx, d, r, e)
	} else {
		s.transact(ctx, d, r, e)
	}
	return nil
}

// past reports whether the subscription is FromNow and d has an older event from another process. Such events arrive
// late or again. Events of this process need no check: their position in the log decides.
func (s *subscription) past(d *journal.Delivery) bool {
	if !d.Event.Time.Before(d.Since) {
		return false
	}
	m := s.bus.modules[d.Event.Source]
	return m == nil || !m.runsHere()
}

// transact runs r inside a transaction of the journal. The first run gets e.
func (s *subscription) transact(ctx context.Context, d *journal.Delivery, r *reaction, e Event) {
	ctx = context.WithoutCancel(ctx) // a middleware may have set a deadline
	a := &attempt{event: e, verdict: &done}
	began := time.Now()
	work := journal.Work{Module: s.module.name, Name: s.name, Limit: s.timeout}
	err := s.bus.journal.React(ctx, d, work, func(tx journal.TxFunc) journal.Verdict {
		if a.runs == 0 && s.bus.state.Load() == stopping { // d has waited for the transactions of others
			return journal.Verdict{Abort: journal.ErrClosed}
		}
		started := time.Now()
		inner := context.WithValue(ctx, scopeKey{}, &scope{tx: tx, delivery: d, sub: s})
		out, err := s.bus.transaction(func() (_ Events, err error) {
			if a.runs++; a.runs > 1 {
				if a.event, err = s.take(d); err != nil {
					return nil, err
				}
			}
			return r.handle(inner, a.event)
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
		s.settle(ctx, d, s.verdict(d, time.Now().Add(-s.timeout), fmt.Errorf("%w; mark the handler external", err)))
	case errors.Is(err, journal.ErrFailed):
		s.settle(ctx, d, s.workFailed(d, *a.verdict, began, err))
	default:
		s.report(ctx, d, a.verdict, err)
	}
}

// attempt is the state of an attempt, whose handler may run several times. Each delivery allocates one.
type attempt struct {
	event   Event
	runs    int
	verdict *journal.Verdict // of the latest run; &done for every success, which needs no details
}

var done = journal.Verdict{Outcome: journal.Done}

// workFailed returns the verdict on an attempt whose work cannot be committed because of err: v when the attempt had
// already failed, otherwise a failure.
func (s *subscription) workFailed(
	d *journal.Delivery, v journal.Verdict, started time.Time, err error,
) journal.Verdict {
	if v.Outcome == journal.Done || v.Outcome == "" {
		return s.verdict(d, started, err)
	}
	if text := err.Error(); strings.Contains(text, v.Err) { // the error of the journal says more
		v.Err = journal.Cut(text, journal.MaxError)
	}
	return v
}

// conclude returns the verdict on the result of a handler, within the transaction that records the verdict.
func (s *subscription) conclude(
	ctx context.Context, d *journal.Delivery, started time.Time, out Events, err error,
) journal.Verdict {
	var emit []*journal.Event
	if err == nil {
		emit, err = s.bus.sealAndFollow(ctx, out, origin{
			module: s.module, subscription: s.name, first: cmp.Or(d.First, s.name), declared: s.emits,
			cause: d.Event, correlation: d.Event.CorrelationID, metadata: wire.Inherited(d.Event.Metadata),
		})
		if errors.Is(err, ErrUndeclared) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrTooManyHops) {
			err = Dead(err)
		}
	}
	if err != nil {
		return s.verdict(d, started, err)
	}
	return journal.Verdict{Outcome: journal.Done, Emit: emit, Started: started, Duration: time.Since(started)}
}

// verdict returns the verdict on a failed attempt.
func (s *subscription) verdict(d *journal.Delivery, started time.Time, err error) journal.Verdict {
	v := journal.Verdict{
		Started: started, Duration: time.Since(started),
		Err: journal.Cut(err.Error(), journal.MaxError), Stack: journal.Cut(guard.Stack(err), journal.MaxStack),
	}
	var decided *decision
	errors.As(err, &decided)
	switch {
	case decided != nil && decided.drop:
		v.Outcome = journal.Dropped
	case decided != nil && decided.dead, s.retry.last(d.Attempt):
		v.Outcome = journal.Dead
	default:
		pause := s.retry.pause(d.Attempt, s.bus.cfg.Chance)
		if decided != nil {
			pause = min(decided.after, maxDelay)
		}
		// RetryAt does not count from time.Now, since the clock may have been stepped.
		v.Outcome, v.RetryAt = journal.Retrying, started.Add(v.Duration+pause)
	}
	return v
}

// settle records a verdict without running a handler.
func (s *subscription) settle(ctx context.Context, d *journal.Delivery, v journal.Verdict) {
	known := func(journal.TxFunc) journal.Verdict { return v }
	err := s.bus.journal.React(context.WithoutCancel(ctx), d, journal.Work{Name: s.name}, known)
	s.report(ctx, d, &v, err)
}

// report logs a failure, in one line. Failures of the journal are not logged here: the journal logs its own, and
// delivers the event again.
func (s *subscription) report(ctx context.Context, d *journal.Delivery, v *journal.Verdict, err error) {
	var level slog.Level
	switch {
	case err != nil && !errors.Is(err, journal.ErrUnavailable) && !errors.Is(err, journal.ErrClosed):
		s.bus.cfg.Logger.LogAttrs(ctx, slog.LevelError, "reaction not recorded",
			slog.String("subscription", s.name), slog.Any("error", err))
		return
	case err == nil && v.Outcome == journal.Dead:
		level = slog.LevelError
	case err == nil && v.Outcome == journal.Retrying:
		level = slog.LevelWarn
	default:
		return
	}
	s.bus.cfg.Logger.LogAttrs(ctx, level, "reaction failed",
		slog.String("subscription", s.name), slog.String("outcome", string(v.Outcome)),
		slog.String("event", d.Event.ID), slog.String("key", d.Event.Key), slog.String("flow", d.Event.CorrelationID),
		slog.Int("attempt", d.Attempt), slog.String("error", v.Err))
}

type accountKey struct{}

// accounted says whether middleware has called the handler.
type accounted struct{ decided bool }

// account is the outermost middleware. Whatever other middleware does with a message, account makes sure that the
// delivery gets an answer.
func account(subs []*subscription) message.HandlerMiddleware {
	byName := map[string]*subscription{}
	for _, s := range subs {
		byName[s.name] = s
	}
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			byName[journal.FromContext(msg.Context()).Subscription].pass(msg, next)
			return nil, nil
		}
	}
}

// pass runs the other middleware and the handler on msg.
func (s *subscription) pass(msg *message.Message, next message.HandlerFunc) {
	a := &accounted{}
	ctx := msg.Context()
	msg.SetContext(context.WithValue(ctx, accountKey{}, a))
	started := time.Now()
	_, err := protect(func() (Events, error) {
		_, err := next(msg)
		return nil, err
	})
	if a.decided {
		return
	}
	if err == nil {
		err = Drop("a middleware acknowledged the message without calling the handler")
	}
	d := journal.FromContext(ctx)
	s.settle(ctx, d, s.verdict(d, started, err))
}
