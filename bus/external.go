package bus

import (
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
type result struct {
	out Events
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
func (s *subscription) callOutside(ctx context.Context, d *journal.Delivery, r *reaction, e Event) {
	if !s.mayCall(d) {
		return // the next process calls
	}
	started := time.Now()
	c := &call{}
	ends, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	defer context.AfterFunc(s.bus.work, cancel)()
	outer := &scope{delivery: d, sub: s, call: c}
	ends = context.WithValue(ends, scopeKey{}, outer)
	answer := make(chan result, 1)
	go func() {
		got := result{err: &guard.Panic{Value: "the handler ended its goroutine with runtime.Goexit", Stack: string(debug.Stack())}}
		defer func() {
			c.over.Store(true)
			<-s.calls
			answer <- got
		}()
		got.out, got.err = s.bus.external(func() (Events, error) { return r.handle(ends, e) })
	}()
	var got result
	select {
	case got = <-answer:
	case <-ends.Done():
		select {
		case got = <-answer: // both happened at once: prefer the answer
		case <-time.After(s.grace()):
			c.over.Store(true)
			got.err = fmt.Errorf("no answer within %v: %w", s.timeout, ends.Err())
		}
	}
	if got.err != nil && s.bus.work.Err() != nil {
		return // the shutdown cancelled the call: the next process calls again, with the same id
	}
	got.ids = outer.ids.Load()
	s.recordAnswer(context.WithoutCancel(ctx), d, started, got)
}

// mayCall waits until the number of running calls is below the limit and the journal can record the answer. mayCall
// returns false when the bus stops first.
func (s *subscription) mayCall(d *journal.Delivery) bool {
	select {
	case s.calls <- struct{}{}:
	default:
		s.bus.cfg.Logger.LogAttrs(context.Background(), slog.LevelError, "subscription paused: external calls do not return "+
			"after the end of their context; the subscription continues when a call returns, or after a restart",
			slog.String("subscription", s.name), slog.Int("calls", cap(s.calls)), slog.String("waiting", d.Event.ID))
		select {
		case s.calls <- struct{}{}:
		case <-s.bus.accepting.Done():
			return false
		}
	}
	if err := s.bus.journal.Writable(s.bus.accepting); err != nil {
		<-s.calls
		return false
	}
	return true
}

// grace returns the time that a handler has to return after the end of its context.
func (s *subscription) grace() time.Duration { return min(s.timeout/10, time.Second) }

// recordAnswer commits the answer from the outside, with the writes of Events.Also.
func (s *subscription) recordAnswer(ctx context.Context, d *journal.Delivery, started time.Time, r result) {
	var v journal.Verdict
	took := time.Since(started)
	work := journal.Work{Module: s.module.name, Name: s.name, Limit: s.bus.cfg.UnitTimeout}
	err := s.keepRecording(ctx, d, work, func(tx journal.TxFunc) journal.Verdict {
		inner := &scope{tx: tx, delivery: d, sub: s}
		inner.ids.Store(r.ids)
		v = s.conclude(context.WithValue(ctx, scopeKey{}, inner), d, started, r.out, r.err)
		v.Duration = took
		return v
	})
	var fallback journal.Verdict
	switch {
	case errors.Is(err, journal.ErrAbandoned): // the abandoned goroutine may still write v
		fallback = s.verdict(d, started, err)
	case errors.Is(err, journal.ErrFailed):
		fallback = s.workFailed(d, v, started, err)
	default:
		s.report(ctx, d, &v, err)
		return
	}
	err = s.keepRecording(ctx, d, journal.Work{Name: s.name}, func(journal.TxFunc) journal.Verdict { return fallback })
	s.report(ctx, d, &fallback, err)
}

// The pauses between tries to record an answer.
const (
	firstRecordPause   = 100 * time.Millisecond
	longestRecordPause = 2 * time.Second
)

// keepRecording calls React until the journal has recorded the answer or ShutdownTimeout is over: after a lost answer
// the bus would call the outside again.
func (s *subscription) keepRecording(ctx context.Context, d *journal.Delivery, w journal.Work,
	run func(journal.TxFunc) journal.Verdict,
) error {
	w.Keep = true
	for pause := firstRecordPause; ; pause = min(2*pause, longestRecordPause) {
		err := s.bus.journal.React(ctx, d, w, run)
		if !errors.Is(err, journal.ErrUnavailable) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-s.bus.work.Done():
			return err
		}
	}
}
