package react

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/troupebus/troupe/bus/internal/backoff"
	"github.com/troupebus/troupe/bus/internal/guard"
	"github.com/troupebus/troupe/bus/journal"
)

// Subscription is a handler with its policy. E is the type of the events, and O of the results. As type parameters,
// the types of the bus need no conversion, which would allocate.
type Subscription[E, O any] struct {
	Policy
	Reactions []*Reaction[E, O]
	Want      func(E) bool // the filter for all types; nil for none
	// Around runs around every run of the handler, and calls next for the run; nil for none.
	Around func(ctx context.Context, e E, next func(ctx context.Context) error) error
	// Seal returns the emitted events for the journal, within the transaction that records the reaction.
	Seal func(ctx context.Context, out O, d *journal.Delivery) ([]*journal.Event, error)
}

// Policy is the part of a subscription that does not depend on types.
type Policy struct {
	Engine       *Engine
	Name, Module string
	External     int // calls at a time; 0 for a transactional handler
	Timeout      time.Duration
	Retry        backoff.Policy
	SkipErased   bool // events whose key was erased are skipped; otherwise they become dead letters

	calls chan struct{} // the capacity limits the external calls that run at once
}

// Reaction is how a subscription treats events of a type.
type Reaction[E, O any] struct {
	EventType string // "" for every type of the subscription, and after a mistake in the wiring
	FromNow   bool

	Decode func(*journal.Event) (E, error)
	Wants  func(E) bool // the filter; nil for none
	Handle func(context.Context, E) (O, error)
}

// inTransactions is the number of deliveries of a transactional subscription that are in flight at once: enough to
// fill the writer's groups.
const inTransactions = 128

// Spec describes the reactions of s for the journal. Call Spec before React.
func (s *Subscription[E, O]) Spec() journal.Subscription {
	spec := journal.Subscription{Name: s.Name, Parallel: inTransactions, Prepare: s.prepared}
	if s.External > 0 {
		spec.Parallel, spec.Outside = s.External, true
		s.calls = make(chan struct{}, callLimitFactor*s.External)
	}
	for _, r := range s.Reactions {
		if r.FromNow {
			spec.TypesFromNow = append(spec.TypesFromNow, r.EventType)
		}
	}
	return spec
}

// To returns the reaction of s to events of a type, or nil.
func (s *Subscription[E, O]) To(eventType string) *Reaction[E, O] {
	for _, r := range s.Reactions {
		if r.EventType == eventType || r.EventType == "" {
			return r
		}
	}
	return nil
}

// prepared is a decoded event, or the error of decoding.
type prepared[E any] struct {
	event E
	err   error
	taken atomic.Bool
}

func (s *Subscription[E, O]) prepared(e *journal.Event) any {
	p := &prepared[E]{}
	p.event, p.err = s.decode(e)
	return p
}

// take returns the event of d for a run of the handler. A handler may change the event, so that each run gets an event
// of its own.
func (s *Subscription[E, O]) take(d *journal.Delivery) (E, error) {
	p := d.Prepared.(*prepared[E])
	if p.taken.CompareAndSwap(false, true) {
		return p.event, p.err
	}
	return s.decode(d.Event)
}

// decode returns the event of e for its reaction, and a panic as an error.
func (s *Subscription[E, O]) decode(e *journal.Event) (decoded E, err error) {
	panicked := guard.Run(func() error {
		if r := s.To(e.Type); r != nil {
			decoded, err = r.Decode(e)
			return nil
		}
		err = fmt.Errorf("subscription %q handles no %q any more: replay with a program that does, or drop the dead letter",
			s.Name, e.Type)
		return nil
	})
	return decoded, errors.Join(err, panicked)
}

// accepts reports whether no filter refuses e, an event of r.
func (s *Subscription[E, O]) accepts(r *Reaction[E, O], e E) (wanted bool, err error) {
	if s.Want == nil && r.Wants == nil {
		return true, nil
	}
	err = s.Engine.Transaction(func() error {
		wanted = (r.Wants == nil || r.Wants(e)) && (s.Want == nil || s.Want(e))
		return nil
	})
	return wanted, err
}
