package bus

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/troupebus/troupe/bus/encrypt"
	"github.com/troupebus/troupe/bus/internal/backoff"
	"github.com/troupebus/troupe/bus/internal/names"
	"github.com/troupebus/troupe/bus/internal/react"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
)

// subscription is a handler with its declarations.
type subscription struct {
	react.Subscription[Event, Events]
	bus      *Bus
	module   *Module
	patterns []string // OnAll
	emits    map[string]bool
	limit    time.Duration  // the timeout that Handler.Timeout set; 0 for the bus's
	retry    backoff.Policy // by Handler.Retry; zero fields for the bus's
	wiredAt  string         // file and line of the call of On
	park     bool
	fromNow  bool
	names    names.Names
	anyOrder bool
	except   []string
}

func (b *Bus) newSubscription(m *Module, name string) *subscription {
	s := &subscription{bus: b, module: m, emits: map[string]bool{}}
	s.Policy = react.Policy{Engine: b.engine, Name: m.name + "/" + name, Module: m.name}
	s.Seal = s.seal
	s.setPolicy()
	return s
}

// setPolicy sets the time limit and the retries, by the handler, or by the bus for handlers of the kind.
func (s *subscription) setPolicy() {
	limit, retry := s.bus.cfg.Timeout, s.bus.cfg.Retry
	if s.External > 0 {
		limit, retry = s.bus.cfg.ExternalTimeout, s.bus.cfg.ExternalRetry
	}
	s.Timeout, s.Retry = cmp.Or(s.limit, limit), s.retry.Or(backoff.Policy(retry))
}

func (s *subscription) spec() journal.Subscription {
	spec := s.Spec()
	spec.Types, spec.Except, spec.FromNow, spec.Park = s.types(), s.except, s.fromNow, s.park
	spec.FromStart, spec.Was, spec.Version = s.names.FromStart, s.names.Was, s.names.Version
	spec.Emits = slices.Sorted(maps.Keys(s.emits))
	spec.Bare, spec.Elsewhere = len(s.bus.cfg.Middleware) == 0, !s.module.runsHere()
	return spec
}

// seal seals the events that the handler emits, and runs the functions of Events.Also.
func (s *subscription) seal(ctx context.Context, out Events, d *journal.Delivery) ([]*journal.Event, error) {
	sealed, err := s.bus.sealAndFollow(ctx, out, origin{
		module: s.module, subscription: s.Name, first: d.FirstName(), declared: s.emits,
		cause: d.Event, correlation: d.Event.CorrelationID, metadata: wire.Inherited(d.Event.Metadata),
	})
	if errors.Is(err, ErrUndeclared) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrTooManyHops) ||
		errors.Is(err, encrypt.ErrErased) {
		err = Dead(err)
	}
	return sealed, err
}
