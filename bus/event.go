package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
)

// Event is an immutable fact, in the past tense. Implementations are plain structs that encoding/json understands; a
// field added later must have a meaningful zero value. A shape that old readers would misread is a new version: the type
// then has a method EventVersion() int, which says 1 where it is missing.
type Event interface {
	// EventType is the identity on the wire, such as "order.placed": written once, never changed, the same for
	// every value of the type.
	EventType() string
	// EventKey says what the event is about. A subscription gets the events of one key in the order of the journal; "" asks for no
	// order. Events of two types have two subscriptions, and no order between them, also with one key.
	EventKey() string
}

// Events is what a handler or a unit of work emits.
type Events []Event

// Emit lists the events to emit. The bus adds identity, time, correlation and causation.
func Emit(events ...Event) Events { return events }

// Also has fn run inside the transaction that records the reaction: what an external handler writes to its module's
// tables about the answer that it got. When fn fails, so does the reaction. In fn, Tx is good even in an external
// handler.
func (e Events) Also(fn func(ctx context.Context) error) Events { return append(e, also{fn}) }

// also travels among the events to keep the handler's signature small.
type also struct{ fn func(context.Context) error }

// EventType returns "": the commit takes functions out of the list before it asks for types.
func (also) EventType() string { return "" }

// EventKey returns "", for the same reason.
func (also) EventKey() string { return "" }

// After delays e: it is stored with the commit, survives restarts, and appears in the journal d later, or a little
// after that. Its causation is the reaction that delayed it. Not more than 10 years.
func After(d time.Duration, e Event) Event { return delayed{e, d} }

type delayed struct {
	Event
	by time.Duration
}

// check returns an error for a delay that means nothing.
func (d delayed) check() error {
	switch d.Event.(type) {
	case nil:
		return fmt.Errorf("%w: After(%v, nil): want an event", ErrUndeclared, d.by)
	case delayed:
		return fmt.Errorf("%w: After(%v, After(…)): delay the event once, by the sum", ErrUndeclared, d.by)
	case also, carried:
		return fmt.Errorf("%w: After(%v, %T): want an event of a module", ErrUndeclared, d.by, d.Event)
	}
	if d.by > maxDelay {
		return fmt.Errorf("bus: After(%v, %s): the longest delay is %v", d.by, d.Event.EventType(), maxDelay)
	}
	return nil
}

// versionOf is the version of e's shape.
func versionOf(e Event) int {
	if v, ok := e.(interface{ EventVersion() int }); ok {
		return v.EventVersion()
	}
	return 1
}

// goType is the struct that carries an event, whether it came as a value or a pointer.
func goType(e Event) reflect.Type {
	t := reflect.TypeOf(e)
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// decode is the one path from stored bytes to a typed event, for deliveries, retries and replays alike.
func decode[E Event](e *journal.Event, maxBytes int) (E, error) {
	var out E
	if want := versionOf(out); e.Version != want {
		return out, fmt.Errorf("unknown version %d of %s: this program knows version %d", e.Version, e.Type, want)
	}
	if len(e.Data) > maxBytes {
		return out, fmt.Errorf("payload of %d bytes: the limit is %d", len(e.Data), maxBytes)
	}
	if !utf8.Valid(e.Data) { // encoding/json would replace the bytes in silence
		return out, fmt.Errorf("payload of %s is not valid UTF-8", e.Type)
	}
	if wire.IsNull(e.Data) { // it would be an event of zeros
		return out, fmt.Errorf("payload of %s is null", e.Type)
	}
	if e.Metadata != nil && e.Metadata[contentType] != "" { // of another program, which sent it as something else than JSON
		if err := wire.CheckPayload(e.Data); err != nil {
			return out, fmt.Errorf("payload of %s, which came as %.60q: %w", e.Type, e.Metadata[contentType], err)
		}
	}
	if err := json.Unmarshal(e.Data, &out); err != nil {
		return out, fmt.Errorf("decode %s: %w", e.Type, err)
	}
	return out, nil
}

// contentType is the metadata that a payload has which did not come as application/json.
const contentType = "content-type"

// origin is what the events of one commit have in common.
type origin struct {
	module       *Module
	subscription string // "" outside of reactions
	declared     map[string]bool
	cause        *journal.Event // nil outside of reactions
	correlation  string         // "" takes the first event's id
}

// seal turns emitted events into what the journal keeps, and takes the Also functions out.
func (b *Bus) seal(out Events, o origin) (sealed []*journal.Event, then []func(context.Context) error, err error) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	for _, e := range out {
		var due time.Time
		switch x := e.(type) {
		case also:
			then = append(then, x.fn)
			continue
		case carried:
			sealed = append(sealed, x.Event)
			continue
		case delayed:
			if err := x.check(); err != nil {
				return nil, nil, err
			}
			e = x.Event
			if x.by > 0 {
				due = now.Add(x.by)
			}
		case nil:
			return nil, nil, fmt.Errorf("%w: a nil event was emitted: leave it out", ErrUndeclared)
		}
		s, err := b.sealOne(e, o)
		if err != nil {
			return nil, nil, err
		}
		if s.ID = newID(); o.cause != nil {
			s.ID = emittedID(o.subscription, o.cause, len(sealed), s.Type)
		}
		s.Time, s.Due = now, due
		if o.correlation == "" {
			o.correlation = s.ID
		}
		s.CorrelationID = o.correlation
		sealed = append(sealed, s)
	}
	return sealed, then, nil
}

// maxKey is how many bytes a key may have: it goes along in what a transport allows beside the payload.
const maxKey = 16 << 10

func (b *Bus) sealOne(e Event, o origin) (*journal.Event, error) {
	eventType := e.EventType()
	if !o.declared[eventType] {
		who := o.subscription
		if who == "" {
			who = o.module.name
		}
		if name := b.nameOf(e); name != "" && name != eventType {
			return nil, fmt.Errorf("%w: EventType of %v says %q here, and said %q when it was declared: it must be the same for every value",
				ErrUndeclared, goType(e), eventType, name)
		}
		return nil, fmt.Errorf("%w: %s emits %q: add it to Emits", ErrUndeclared, who, eventType)
	}
	data, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", eventType, err)
	}
	if wire.IsNull(data) {
		return nil, fmt.Errorf("encode %s: it encodes as null, which nobody can tell from an event of zeros", eventType)
	}
	key := e.EventKey()
	if len(key) > maxKey || len(o.correlation) > wire.MaxAttribute {
		return nil, fmt.Errorf("%w: %s has a key of %d bytes, the limit is %d, and a correlation id of %d, the limit is %d",
			ErrTooLarge, eventType, len(key), maxKey, len(o.correlation), wire.MaxAttribute)
	}
	if o.cause == nil && o.correlation != "" { // it came from a caller; others inherit it
		if err := wire.CheckName(o.correlation); err != nil {
			return nil, fmt.Errorf("%w: correlation id %.60q %w", ErrBadID, o.correlation, err)
		}
	}
	if len(data) > b.cfg.MaxPayload {
		return nil, fmt.Errorf("%w: %s has %d bytes, the limit is %d: store the large part elsewhere and refer to it", ErrTooLarge, eventType, len(data), b.cfg.MaxPayload)
	}
	s := &journal.Event{
		Type: eventType, Version: versionOf(e), Source: o.module.name, Key: key,
		Subscription: o.subscription, Data: data,
	}
	if o.cause != nil {
		s.CausationID, s.Hops = o.cause.ID, o.cause.Hops+1
		if s.Hops > b.cfg.MaxHops {
			return nil, fmt.Errorf("%w: %s would be hop %d of flow %s: a loop?", ErrTooManyHops, eventType, s.Hops, o.correlation)
		}
	}
	return s, nil
}
