package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/troupebus/troupe/bus/internal/backoff"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
)

// ownSubscriptions returns the subscriptions of the bus itself, for events that no module handles.
func (b *Bus) ownSubscriptions() []*subscription {
	unknown := b.own("unknown", b.unknown())
	unknown.except = append(slices.Sorted(maps.Keys(b.types)), wire.UndecodedType, wire.UnsentType)
	if b.cfg.Transport == nil {
		return []*subscription{unknown}
	}
	relay := b.own("relay", b.unsent())
	relay.External, relay.names.FromStart = 1, true
	relay.Retry = backoff.Policy(b.cfg.ExternalRetry)
	return []*subscription{unknown, b.own("ingest", b.undecoded()), relay}
}

// ownName is the module of the bus's own subscriptions. The module runs in every process.
const ownName = "bus"

// own returns a subscription of the bus itself.
func (b *Bus) own(name string, r *reaction) *subscription {
	s := b.newSubscription(&Module{bus: b, name: ownName}, name)
	s.Reactions = []*reaction{r}
	return s
}

// unknown returns the reaction to all event types that no module knows. Such events become dead letters, with their
// payload, instead of being ignored.
func (b *Bus) unknown() *reaction {
	return &reaction{Decode: func(e *journal.Event) (Event, error) {
		if _, known := b.types[e.Type]; known { // a person replays the event with a newer program
			return nil, fmt.Errorf("this program knows the event type %q, and its subscriptions have the event: drop the dead letter", e.Type)
		}
		return nil, fmt.Errorf("unknown event type %q: no module of this program emits or consumes it", e.Type)
	}}
}

// undecoded returns the reaction to messages from the transport that could not be decoded. Such messages become dead
// letters of the ingest. After a replay with a program that can decode the message, the decoded event is emitted.
func (b *Bus) undecoded() *reaction {
	check := b.wireWiring().CheckSource
	return &reaction{
		EventType: wire.UndecodedType,
		Decode: func(e *journal.Event) (Event, error) {
			decoded, err := wire.Redecode(e, check)
			return carried{decoded}, err
		},
		Handle: func(_ context.Context, e Event) (Events, error) { return Emit(e), nil },
	}
}

// unsent returns the reaction to events that the transport refused. Each event is sent once more. When the transport
// refuses again, the event becomes a dead letter of the relay: replay the dead letter when the transport takes the
// event.
func (b *Bus) unsent() *reaction {
	return &reaction{
		EventType: wire.UnsentType,
		Decode:    func(e *journal.Event) (Event, error) { return carried{e}, nil },
		Handle: func(ctx context.Context, e Event) (Events, error) {
			err := wire.Resend(ctx, b.cfg.Transport, e.(carried).Event)
			if errors.As(err, new(*wire.Refused)) {
				err = Dead(err)
			}
			return nil, err
		},
	}
}

// carried is an event from the transport, which has all its attributes already.
type carried struct{ *journal.Event }

// EventType implements Event.
func (c carried) EventType() string { return c.Type }

// EventKey implements Event.
func (c carried) EventKey() string { return c.Key }
