package bus

import (
	"cmp"
	"context"
	"reflect"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// Handler is a registered handler for events of type E. Call its methods before Run.
type Handler[E Event] struct{ s *subscription }

// On registers fn as a handler of m for events of type E. The name is durable and unique in the module: the
// subscription is called "module/name". Handler.Was changes the name later.
//
// By default fn runs inside a transaction of the journal: fn reads and writes the tables of the module through Tx, and
// must not wait for the outside world. When fn returns an error or panics, the bus rolls the writes back and tries
// again as Retry says. The errors of Dead, RetryAfter and Drop change that.
func On[E Event](m *Module, name string, fn func(ctx context.Context, e E) (Events, error)) *Handler[E] {
	b := m.bus
	b.wiring("subscription", m.name+"/"+name)
	s := &subscription{
		bus: b, module: m, name: m.name + "/" + name, wiredAt: wiringSite(),
		emits: map[string]bool{}, timeout: b.cfg.Timeout, retry: b.cfg.Retry,
	}
	if !validName.MatchString(name) {
		b.mistake("subscription %q: a name has lower case letters and digits, with single dashes or underscores between", s.name)
	}
	if t := reflect.TypeFor[E](); t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		b.mistake("subscription %q takes %v: a handler takes the struct of the event, neither a pointer nor an interface", s.name, t)
	} else {
		var zero E
		s.eventType = b.register(zero)
	}
	h := &Handler[E]{s: s}
	if fn == nil {
		b.mistake("subscription %q has no handler", s.name)
	}
	s.decode = func(e *journal.Event) (Event, error) { return decode[E](e, b.cfg.MaxPayload) }
	s.handle = func(ctx context.Context, e Event) (Events, error) { return fn(ctx, e.(E)) }
	b.subscriptions = append(b.subscriptions, s)
	return h
}

// Emits declares the types of the events that the handler may emit. Pass a value of each type; zero values suffice. An
// event of another type is an error.
func (h *Handler[E]) Emits(events ...Event) *Handler[E] {
	for _, e := range events {
		if t := h.s.bus.declare(e, h.s.module.name); t != "" {
			h.s.emits[t] = true
		}
	}
	return h
}

// External marks a handler that calls the outside world. The handler runs without a transaction, in up to parallel
// calls at a time, for each key in order. The context of a call ends after Timeout. The bus records the returned
// events in a short transaction, which also runs the functions of Events.Also. After a crash in between the bus calls
// the handler again, with the same Info.ID.
//
// A call that ignores the end of its context is abandoned. When as many abandoned calls as parallel are running beside
// the normal calls, the subscription pauses until a call returns.
//
// A goroutine of the handler may call Publish with a context that is not the handler's. Such a Publish commits at
// once, separately from the handler, and again at each retry. The handler has no transaction, so no other work has to
// wait.
func (h *Handler[E]) External(parallel int) *Handler[E] {
	if parallel < 1 {
		h.s.bus.mistake("subscription %q: External(%d): want 1 or more", h.s.name, parallel)
	}
	h.s.external, h.s.timeout = parallel, cmp.Or(h.s.limit, h.s.bus.cfg.ExternalTimeout)
	return h
}

// When makes the handler skip events for which want returns false; the journal records such events as skipped. want
// must depend on the event alone.
func (h *Handler[E]) When(want func(e E) bool) *Handler[E] {
	if want == nil {
		h.s.bus.mistake("subscription %q: When(nil): want a function", h.s.name)
	}
	h.s.wants = func(e Event) bool { return want(e.(E)) }
	return h
}

// Retry sets the retry policy of the subscription. Zero fields default to Config.Retry.
func (h *Handler[E]) Retry(r Retry) *Handler[E] {
	if err := r.validate(); err != nil {
		h.s.bus.mistake("subscription %q: %w", h.s.name, err)
	}
	h.s.retry = r.withDefaults(h.s.bus.cfg.Retry)
	return h
}

// Timeout limits an attempt. Defaults to Config.Timeout, or Config.ExternalTimeout for an external handler. After the
// timeout, a transactional handler loses the transaction, and the context of an external handler ends. The bus retries
// both.
func (h *Handler[E]) Timeout(d time.Duration) *Handler[E] {
	if d <= 0 {
		h.s.bus.mistake("subscription %q: Timeout(%v): want more than 0", h.s.name, d)
	}
	h.s.limit, h.s.timeout = d, d
	return h
}

// ParkKey makes later events with the key of a dead letter wait until a person replays or drops the dead letter.
// Without ParkKey, the later events are handled.
func (h *Handler[E]) ParkKey() *Handler[E] {
	h.s.park = true
	return h
}

// FromNow makes a new subscription start after the newest event of the journal. By default a new subscription starts
// at the oldest event. An event of a module that runs elsewhere is skipped when its time is before the start of the
// subscription; the clocks of two machines may differ. Events that arrive later, while the subscription is not
// running, wait as usual.
func (h *Handler[E]) FromNow() *Handler[E] {
	h.s.fromNow = true
	return h
}
