package bus

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// Info is what a handler may want to know about the delivery that it handles.
type Info struct {
	ID            string // the same for every attempt, for ever: the idempotency key for calls to the outside
	Subscription  string
	Attempt       int // 1 for the first
	EventID       string
	CorrelationID string // the id of the flow
	CausationID   string // the id of the event that led to this one; "" for a flow's first
	Time          time.Time
}

// scope is what a context knows of the work that it belongs to.
type scope struct {
	tx       journal.TxFunc // nil in external handlers
	delivery *journal.Delivery
	sub      *subscription // in handlers
	call     *call         // in external handlers
}

type scopeKey struct{}

type correlationKey struct{}

// Tx is the transaction of the handler or unit of work whose context ctx is. It commits when the work returns without
// an error, and must be neither committed nor rolled back by hand. After the work's end it returns errors, also to
// goroutines that the work has left behind. Tx panics where there is no transaction: in an external handler (see
// Events.Also) and outside of work altogether.
//
// The context of transactional work is never cancelled; a transaction is short. Work that outstays its Timeout loses
// the transaction.
func Tx(ctx context.Context) *sql.Tx {
	s, _ := ctx.Value(scopeKey{}).(*scope)
	if s == nil || s.tx == nil {
		panic("bus: Tx where there is no transaction: an external handler writes in Events.Also, everything else in Module.Do")
	}
	return s.tx()
}

// Commit runs fn in a transaction of its own, from an external handler, and returns when it is on disk: what the module
// must have written down before it calls the outside, such as that it is about to. The call may be repeated after a
// crash, and so is fn. It emits nothing: events belong to the handler's answer. A handler that has returned, or that was
// given up after its Timeout, gets a journal.ErrAbandoned: its delivery may have been answered without it. So does one whose
// delivery a person has given up meanwhile. Elsewhere it is an ErrNested or, outside of handlers, a panic: there it is
// Module.Do that is meant.
func Commit(ctx context.Context, fn func(ctx context.Context) error) error {
	s, _ := ctx.Value(scopeKey{}).(*scope)
	if s == nil || s.sub == nil {
		panic("bus: Commit outside of an external handler")
	}
	if s.tx != nil {
		return fmt.Errorf("%w: the handler has a transaction already", ErrNested)
	}
	work := journal.Work{Module: s.sub.module.name, Name: s.sub.name, Limit: unitLimit, Delivery: s.delivery}
	return s.sub.bus.journal.Do(ctx, work, func(tx journal.TxFunc) ([]*journal.Event, error) {
		if s.call.over.Load() { // in the transaction: the next attempt's answer is not in it yet
			return nil, fmt.Errorf("%w: this call of %s has returned or was given up", journal.ErrAbandoned, s.sub.name)
		}
		inner := context.WithValue(context.WithoutCancel(ctx), scopeKey{}, &scope{tx: tx, delivery: s.delivery, sub: s.sub})
		_, err := s.sub.bus.transaction(func() (Events, error) { return nil, fn(inner) })
		return nil, err
	})
}

// Delivery says which delivery ctx belongs to. Outside of handlers it is the zero Info.
func Delivery(ctx context.Context) Info {
	s, _ := ctx.Value(scopeKey{}).(*scope)
	if s == nil || s.delivery == nil {
		return Info{}
	}
	d := s.delivery
	return Info{
		ID: d.ID(), Subscription: d.Subscription, Attempt: d.Attempt, EventID: d.Event.ID,
		CorrelationID: d.Event.CorrelationID, CausationID: d.Event.CausationID, Time: d.Event.Time,
	}
}

// Correlate makes the Do and Publish that get ctx part of the flow called id, such as the number of an order. Otherwise
// each of them starts a flow of its own.
func Correlate(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, correlationKey{}, id)
}
