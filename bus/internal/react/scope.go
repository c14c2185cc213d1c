package react

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/troupebus/troupe/bus/internal/eventid"
	"github.com/troupebus/troupe/bus/journal"
)

// Scope is the work that a context belongs to.
type Scope struct {
	Tx       journal.TxFunc    // nil in external handlers
	Delivery *journal.Delivery // in handlers
	Unit     *journal.Event    // in units of work: has an id and the time of the call of Do

	policy *Policy // in handlers
	call   *call   // in external handlers
	ids    atomic.Int64
}

type scopeKey struct{}

// ScopeOf returns the scope that ctx belongs to, or nil.
func ScopeOf(ctx context.Context) *Scope {
	s, _ := ctx.Value(scopeKey{}).(*Scope)
	return s
}

// In returns a context that belongs to s.
func (s *Scope) In(ctx context.Context) context.Context { return context.WithValue(ctx, scopeKey{}, s) }

// Cause returns the event that a handler works on, or the stand-in of a unit of work.
func (s *Scope) Cause() *journal.Event {
	if s.Delivery != nil {
		return s.Delivery.Event
	}
	return s.Unit
}

// NewID returns an id that follows from the work and the number of earlier ids.
func (s *Scope) NewID() string {
	by := ""
	if s.Delivery != nil {
		by = s.Delivery.FirstName()
	}
	return eventid.Emitted(by, s.Cause(), int(s.ids.Add(1)-1), "")
}

// Commit runs fn, a part of an external handler, in a transaction of its own.
func (s *Scope) Commit(ctx context.Context, fn func(ctx context.Context) error) error {
	e := s.policy.Engine
	work := journal.Work{Module: s.policy.Module, Name: s.policy.Name, Limit: e.UnitTimeout, Delivery: s.Delivery}
	var inner *Scope
	err := e.Journal.Do(ctx, work, func(tx journal.TxFunc) ([]*journal.Event, error) {
		if s.call.over.Load() { // checked within the transaction: the answer of the next attempt is not committed yet
			return nil, fmt.Errorf("%w: this call of %s has returned or was given up", journal.ErrAbandoned, s.policy.Name)
		}
		inner = &Scope{Tx: tx, Delivery: s.Delivery, policy: s.policy}
		inner.ids.Store(s.ids.Load())
		return nil, e.Transaction(func() error { return fn(inner.In(context.WithoutCancel(ctx))) })
	})
	if err == nil {
		s.ids.Store(inner.ids.Load())
	}
	return err
}
