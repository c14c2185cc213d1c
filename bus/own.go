package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
)

// own are the bus's own subscriptions: what nobody else answers for.
func (b *Bus) own() []*subscription {
	subs := []*subscription{b.unknown()}
	if b.cfg.Transport != nil {
		subs = append(subs, b.undecoded(), b.unsent())
	}
	for _, s := range subs {
		s.bus, s.module, s.retry, s.timeout = b, &Module{bus: b, name: ownName}, b.cfg.Retry, b.cfg.Timeout
	}
	return subs
}

// ownName is the module's that the bus's own subscriptions belong to. It runs everywhere.
const ownName = "bus"

// unknown takes all event types that no module knows: they become dead letters, with their bytes, rather than nothing.
func (b *Bus) unknown() *subscription {
	return &subscription{
		name: "bus/unknown", except: append(slices.Sorted(maps.Keys(b.types)), wire.UndecodedType, wire.UnsentType),
		decode: func(e *journal.Event) (Event, error) {
			if _, known := b.types[e.Type]; known { // replayed under a newer program
				return nil, fmt.Errorf("this program knows the event type %q, and its own subscriptions have the event: drop this", e.Type)
			}
			return nil, fmt.Errorf("unknown event type %q: no module of this program emits or consumes it", e.Type)
		},
	}
}

// undecoded takes the messages from the transport that are no events. They become dead letters of the ingest; when one is
// replayed, and this program can read what an older one could not, it becomes the event that it carries.
func (b *Bus) undecoded() *subscription {
	return &subscription{
		name: "bus/ingest", eventType: wire.UndecodedType,
		decode: func(e *journal.Event) (Event, error) {
			decoded, err := wire.Redecode(e, b.checkSource)
			return carried{decoded}, err
		},
		handle: func(_ context.Context, e Event) (Events, error) { return Emit(e), nil },
	}
}

// unsent takes the events that the transport refused. Each is tried once more, and becomes a dead letter of the relay, which can be
// replayed when the transport takes it.
func (b *Bus) unsent() *subscription {
	return &subscription{
		name: "bus/relay", eventType: wire.UnsentType, external: 1,
		decode: func(e *journal.Event) (Event, error) { return carried{e}, nil },
		handle: func(ctx context.Context, e Event) (Events, error) {
			err := wire.Resend(ctx, b.cfg.Transport, e.(carried).Event)
			if errors.As(err, new(*wire.Refused)) {
				err = Dead(err)
			}
			return nil, err
		},
	}
}

// carried is an event that came from elsewhere: it has all its attributes already.
type carried struct{ *journal.Event }

// EventType implements Event.
func (c carried) EventType() string { return c.Type }

// EventKey implements Event.
func (c carried) EventKey() string { return c.Key }
