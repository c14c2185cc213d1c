package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/troupebus/troupe/bus/encrypt"
	"github.com/troupebus/troupe/bus/internal/eventid"
	"github.com/troupebus/troupe/bus/internal/payload"
	"github.com/troupebus/troupe/bus/internal/wiring"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
)

// Event is an immutable fact, named in the past tense. Implement Event by a plain struct for encoding/json. A field
// that is added later must have a meaningful zero value. A change that old readers would misread is a new version:
// then give the type a method EventVersion() int. A type without the method has version 1. Further optional methods are
// EventCodec() codec.Codec, for another format than JSON (package codec), and EventEncryptionKey() string, the id of
// the key that encrypts the payload (package encrypt). With EventReadable() any, a copy of some fields stays readable.
type Event interface {
	// EventType returns the durable name of the type, such as "order.placed". Never change the name. All values of a type
	// return the same name.
	EventType() string
	// EventKey returns the subject of the event, such as the number of an order. A subscription gets its events with the
	// same key in the order of the journal, whatever their types; events with the key "" have no order. Two subscriptions
	// have no order between them: a module that needs the order of two types handles both in one OnEach. Over a
	// Transport, the order holds among the events of one module.
	EventKey() string
}

// Events are the events that a handler or a unit of work emits, in order: the result of Emit, several results that were
// appended to each other, or nil for none.
type Events []emission

// emission is an event, or a function of Also.
type emission struct {
	event Event
	also  func(context.Context) error
}

// Emit returns the list of events to emit. The bus adds the id, time, correlation and causation.
func Emit(events ...Event) Events {
	out := make(Events, len(events))
	for i, e := range events {
		out[i].event = e
	}
	return out
}

// Also adds fn to the list. The bus runs fn inside the transaction that records the reaction. There an external
// handler, too, can use Tx, for the module's writes about the answer from the outside. When fn fails, so does the
// reaction.
func (e Events) Also(fn func(ctx context.Context) error) Events { return append(e, emission{also: fn}) }

// versionOf returns the version of the shape of e.
func versionOf(e Event) int {
	if v, ok := e.(interface{ EventVersion() int }); ok {
		return v.EventVersion()
	}
	return 1
}

// decode decodes the stored bytes of an event, for deliveries, retries and replays.
func decode[E Event](e *journal.Event, maxBytes int, keys encrypt.Keys) (E, error) {
	var out E
	if want := versionOf(out); e.Version != want {
		return out, fmt.Errorf("unknown version %d of %s: this program knows version %d", e.Version, e.Type, want)
	}
	if len(e.Data) > maxBytes {
		return out, fmt.Errorf("payload of %d bytes: the limit is %d", len(e.Data), maxBytes)
	}
	err := payload.Unmarshal(e, keys, &out)
	return out, err
}

// origin is the common source of the events of a commit.
type origin struct {
	module       *Module
	subscription string // "" outside of reactions
	first        string // the oldest name of subscription, for the ids of events
	declared     map[string]bool
	cause        *journal.Event // nil outside of reactions
	correlation  string         // "" means the id of the first event
	metadata     map[string]string
	rested       bool // the event is delayed so long that it continues no loop
}

// seal turns emitted events into events for the journal, and returns the Also functions separately.
func (b *Bus) seal(out Events, o origin) (sealed []*journal.Event, followUps []func(context.Context) error, err error) {
	now := toMicros(b.now())
	for _, part := range out {
		if part.also != nil {
			followUps = append(followUps, part.also)
			continue
		}
		e := part.event
		var due time.Time
		timer := ""
		switch x := e.(type) {
		case carried:
			sealed = append(sealed, x.Event)
			continue
		case cancel:
			c, err := x.seal(o.module, now)
			if err != nil {
				return nil, nil, err
			}
			sealed = append(sealed, c)
			continue
		case Delayed:
			timer = x.name
			if e, due, err = x.plan(now); err != nil {
				return nil, nil, err
			}
		case nil:
			return nil, nil, fmt.Errorf("%w: a nil event was emitted: leave it out", ErrUndeclared)
		}
		o.rested = due.Sub(now) >= loopRest
		s, err := b.sealOne(e, o)
		if err != nil {
			return nil, nil, err
		}
		if s.ID = eventid.New(); o.cause != nil {
			s.ID = eventid.Emitted(o.first, o.cause, len(sealed), s.Type)
		}
		s.Time, s.Due, s.Timer = now, due, timer
		if o.correlation == "" {
			o.correlation = s.ID
		}
		s.CorrelationID = o.correlation
		sealed = append(sealed, s)
	}
	return sealed, followUps, nil
}

// maxKey limits the length of a key, in bytes: a transport limits the size of headers.
const maxKey = 16 << 10

func (b *Bus) sealOne(e Event, o origin) (*journal.Event, error) {
	eventType := e.EventType()
	if !o.declared[eventType] {
		who := o.subscription
		if who == "" {
			who = o.module.name
		}
		if name := b.types.NameOf(e); name != "" && name != eventType {
			return nil, fmt.Errorf("%w: EventType of %v returns %q for this value, and %q for the declared one: return the same for every value",
				ErrUndeclared, wiring.GoType(e), eventType, name)
		}
		return nil, fmt.Errorf("%w: %s emits %q: add the event to Emits", ErrUndeclared, who, eventType)
	}
	key := e.EventKey()
	if len(key) > maxKey || len(o.correlation) > wire.MaxAttribute {
		return nil, fmt.Errorf("%w: %s has a key of %d bytes, the limit is %d, and a correlation id of %d, the limit is %d",
			ErrTooLarge, eventType, len(key), maxKey, len(o.correlation), wire.MaxAttribute)
	}
	if o.cause == nil && o.correlation != "" { // the caller chose the id; reactions inherit a checked id
		if err := wire.CheckName(o.correlation); err != nil {
			return nil, fmt.Errorf("%w: correlation id %.60q %w", ErrBadID, o.correlation, err)
		}
	}
	s := &journal.Event{
		Type: eventType, Version: versionOf(e), Source: o.module.name, Key: key,
		Subscription: o.subscription, Metadata: o.metadata,
	}
	if err := payload.Marshal(e, b.cfg.Keys, s); err != nil {
		return nil, fmt.Errorf("encode %s: %w", eventType, err)
	}
	if len(s.Data) > b.cfg.MaxPayload {
		return nil, fmt.Errorf("%w: %s has %d bytes, the limit is %d: store the large part elsewhere, and put a reference in the event",
			ErrTooLarge, eventType, len(s.Data), b.cfg.MaxPayload)
	}
	if o.cause != nil {
		if s.CausationID = o.cause.ID; !o.rested {
			s.Hops = o.cause.Hops + 1
		}
		if s.Hops > b.cfg.MaxHops {
			return nil, fmt.Errorf("%w: %s would be hop %d of flow %s: a loop?", ErrTooManyHops, eventType, s.Hops, o.correlation)
		}
	}
	return s, nil
}
