package react

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/troupebus/troupe/bus/internal/guard"
	"github.com/troupebus/troupe/bus/journal"
)

// result is the return values of an external handler.
type result[O any] struct {
	out O
	err error
	ids int64 // the number of results of NewID
}

// call is a call of an external handler.
type call struct{ over atomic.Bool } // the handler has returned, or the bus has abandoned the call

// callLimitFactor limits the running calls of a subscription to a multiple of the number given to External. The limit
// includes abandoned calls that have not returned.
const callLimitFactor = 2

// callOutside runs r, of an external handler, without a transaction, and records the result in a short transaction. A
// handler that ignores the end of its context cannot be stopped, so the call is abandoned. With too many abandoned
// calls the subscription stops calling; see mayCall.
func (s *Subscription[E, O]) callOutside(ctx context.Context, d *journal.Delivery, r *Reaction[E, O], e E) error {
	if !s.mayCall(d) {
		return nil // the next process calls
	}
	started := time.Now()
	c := &call{}
	ends, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	defer context.AfterFunc(s.Engine.work, cancel)()
	outer := &Scope{Delivery: d, policy: &s.Policy, call: c}
	ends = outer.In(ends)
	answer := make(chan result[O], 1)
	go func() {
		got := result[O]{err: &guard.Panic{Value: "the handler ended its goroutine with runtime.Goexit", Stack: string(debug.Stack())}}
		defer func() {
			c.over.Store(true)
			<-s.calls
			answer <- got
		}()
		got.err = s.Engine.outside(func() (err error) {
			got.out, err = s.handle(ends, r, e)
			return err
		})
	}()
	var got result[O]
	select {
	case got = <-answer:
	case <-ends.Done():
		select {
		case got = <-answer: // both happened at once: prefer the answer
		case <-time.After(s.grace()):
			c.over.Store(true)
			got.err = fmt.Errorf("no answer within %v: %w", s.Timeout, ends.Err())
		}
	}
	if got.err != nil && s.Engine.work.Err() != nil {
		return nil // the shutdown cancelled the call: the next process calls again, with the same id
	}
	got.ids = outer.ids.Load()
	return s.recordAnswer(context.WithoutCancel(ctx), d, started, got)
}

// mayCall waits until the number of running calls is below the limit and the journal can record the answer. mayCall
// returns false when the bus stops first.
func (p *Policy) mayCall(d *journal.Delivery) bool {
	select {
	case p.calls <- struct{}{}:
	default:
		p.Engine.Logger.LogAttrs(context.Background(), slog.LevelError, "subscription paused: external calls do not return "+
			"after the end of their context; the subscription continues when a call returns, or after a restart",
			slog.String("subscription", p.Name), slog.Int("calls", cap(p.calls)), slog.String("waiting", d.Event.ID))
		select {
		case p.calls <- struct{}{}:
		case <-p.Engine.accepting.Done():
			return false
		}
	}
	if err := p.Engine.Journal.Writable(p.Engine.accepting); err != nil {
		<-p.calls
		return false
	}
	return true
}

// grace returns the time that a handler has to return after the end of its context.
func (p *Policy) grace() time.Duration { return min(p.Timeout/10, time.Second) }

// recordAnswer commits the answer from the outside, with the writes of Events.Also.
func (s *Subscription[E, O]) recordAnswer(
	ctx context.Context, d *journal.Delivery, started time.Time, r result[O],
) error {
	var v journal.Verdict
	var cause error
	took := time.Since(started)
	work := journal.Work{Module: s.Module, Name: s.Name, Limit: s.Engine.UnitTimeout}
	err := s.keepRecording(ctx, d, work, func(tx journal.TxFunc) journal.Verdict {
		inner := &Scope{Tx: tx, Delivery: d, policy: &s.Policy}
		inner.ids.Store(r.ids)
		v, cause = s.conclude(inner.In(ctx), d, started, r.out, r.err)
		v.Duration = took
		return v
	})
	var fallback journal.Verdict
	switch {
	case errors.Is(err, journal.ErrAbandoned): // the abandoned goroutine may still write v and cause
		fallback, r.err = s.verdict(d, started, err), err
	case errors.Is(err, journal.ErrFailed):
		fallback, r.err = s.workFailed(d, v, started, err), cmp.Or(cause, err)
	default:
		return s.report(ctx, d, &v, cause, err)
	}
	err = s.keepRecording(ctx, d, journal.Work{Name: s.Name}, func(journal.TxFunc) journal.Verdict { return fallback })
	return s.report(ctx, d, &fallback, r.err, err)
}

// The pauses between tries to record an answer.
const (
	firstRecordPause   = 100 * time.Millisecond
	longestRecordPause = 2 * time.Second
)

// keepRecording calls React until the journal has recorded the answer or ShutdownTimeout is over: after a lost answer
// the bus would call the outside again.
func (p *Policy) keepRecording(ctx context.Context, d *journal.Delivery, w journal.Work,
	run func(journal.TxFunc) journal.Verdict,
) error {
	w.Keep = true
	for pause := firstRecordPause; ; pause = min(2*pause, longestRecordPause) {
		err := p.Engine.Journal.React(ctx, d, w, run)
		if !errors.Is(err, journal.ErrUnavailable) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-p.Engine.work.Done():
			return err
		}
	}
}
