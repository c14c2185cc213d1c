package bus

import (
	"cmp"
	"context"
	"reflect"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// Handler is the registration of a handler for events of type E. Its methods refine it, before Run.
type Handler[E Event] struct{ s *subscription }

// On has m react to events of type E under a durable name, unique in the module: the subscription is "module/name". In
// the ordinary case fn runs inside the journal's transaction: it reads and writes its module's tables through Tx, and
// must not wait for the outside. Both are undone when it returns an error or panics; it is tried again then, as Retry
// says, unless the error is made by Dead, RetryAfter or Drop.
func On[E Event](m *Module, name string, fn func(ctx context.Context, e E) (Events, error)) *Handler[E] {
	b := m.bus
	b.wiring("subscription", m.name+"/"+name)
	s := &subscription{
		bus: b, module: m, name: m.name + "/" + name, wiredAt: wiringSite(),
		emits: map[string]bool{}, timeout: b.cfg.Timeout, retry: b.cfg.Retry,
	}
	if !validName.MatchString(name) {
		b.mistake("subscription %q: a name is lower case letters, digits, and dashes within", s.name)
	}
	if t := reflect.TypeFor[E](); t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		b.mistake("subscription %q takes %v: a handler takes the event's struct itself, neither a pointer nor an interface", s.name, t)
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

// Emits declares what the handler may emit. Zero values will do. Emitting anything else is an error.
func (h *Handler[E]) Emits(events ...Event) *Handler[E] {
	for _, e := range events {
		if t := h.s.bus.declare(e, h.s.module.name); t != "" {
			h.s.emits[t] = true
		}
	}
	return h
}

// External marks a handler that calls the outside world: it runs without a transaction, up to parallel at a time, those
// of one key in order, each with a context that ends after Timeout. What it returns is recorded in a short transaction,
// in which Events.Also runs too. After a crash in between it is called again with the same Info.ID. Calls that ignore the
// end of their context are left behind; with as many of them as parallel beside the others, the subscription stands still
// until one returns.
//
// What a goroutine of the handler publishes with another context than the handler's is a commit of its own, made at once, and once more
// whenever the handler is called again. It holds nobody up, since the handler has no transaction.
func (h *Handler[E]) External(parallel int) *Handler[E] {
	if parallel < 1 {
		h.s.bus.mistake("subscription %q: External(%d): want 1 or more", h.s.name, parallel)
	}
	h.s.external, h.s.timeout = parallel, cmp.Or(h.s.limit, h.s.bus.cfg.ExternalTimeout)
	return h
}

// When has the handler skip the events that want does not accept; they are recorded as skipped. want must depend on the
// event alone.
func (h *Handler[E]) When(want func(e E) bool) *Handler[E] {
	if want == nil {
		h.s.bus.mistake("subscription %q: When(nil): want a function", h.s.name)
	}
	h.s.wants = func(e Event) bool { return want(e.(E)) }
	return h
}

// Retry gives the subscription a policy of its own; what it leaves open is as the bus has it.
func (h *Handler[E]) Retry(r Retry) *Handler[E] {
	if err := r.validate(); err != nil {
		h.s.bus.mistake("subscription %q: %w", h.s.name, err)
	}
	h.s.retry = r.withDefaults(h.s.bus.cfg.Retry)
	return h
}

// Timeout limits one attempt. Defaults to Config.Timeout, or Config.ExternalTimeout for an external handler. A transactional handler that outstays it loses its transaction, an
// external one its context; either is tried again.
func (h *Handler[E]) Timeout(d time.Duration) *Handler[E] {
	if d <= 0 {
		h.s.bus.mistake("subscription %q: Timeout(%v): want more than 0", h.s.name, d)
	}
	h.s.limit, h.s.timeout = d, d
	return h
}

// ParkKey has later events of a key wait behind a dead letter until somebody replays or drops it. Otherwise the key
// goes on.
func (h *Handler[E]) ParkKey() *Handler[E] {
	h.s.park = true
	return h
}

// FromNow starts a subscription that the journal has never seen behind the newest event, rather than with the oldest. Events of a
// module that runs elsewhere count as older when their time is: the clocks of two machines may differ. What comes while the
// subscription does not run waits for it.
func (h *Handler[E]) FromNow() *Handler[E] {
	h.s.fromNow = true
	return h
}
