package bus

import (
	"context"
	"time"

	"github.com/troupebus/troupe/bus/internal/backoff"
)

// Handler is a registered handler for events of type E. Call its methods before Run.
type Handler[E Event] struct{ s *subscription }

// On registers fn as a handler of m for events of type E. The name is durable and unique in the module: the
// subscription is called "module/name". Handler.Was changes the name later.
//
// By default fn runs inside a transaction of the journal: fn reads and writes the tables of the module through Tx, and
// must not wait for the outside world. When fn returns an error or panics, the bus rolls the writes back and tries
// again as Retry says. The errors of Dead, RetryAfter, Wait and Drop change that.
func On[E Event](m *Module, name string, fn func(ctx context.Context, e E) (Events, error)) *Handler[E] {
	s := m.subscribe(name)
	s.Reactions = []*reaction{Of(fn).reactionOf(s)}
	return &Handler[E]{s: s}
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
		h.s.bus.mistake("subscription %q: External(%d): want 1 or more", h.s.Name, parallel)
	}
	h.s.External = parallel
	h.s.setPolicy()
	return h
}

// When makes the handler skip events for which want returns false; the journal records such events as skipped. want
// must depend on the event alone.
func (h *Handler[E]) When(want func(e E) bool) *Handler[E] {
	if want == nil {
		h.s.bus.mistake(noFilter, h.s.Name)
	}
	h.s.Want = func(e Event) bool { return want(e.(E)) }
	return h
}

// Retry sets the retry policy of the subscription. Zero fields default to Config.Retry, or Config.ExternalRetry for an
// external handler.
func (h *Handler[E]) Retry(r Retry) *Handler[E] {
	if err := backoff.Policy(r).Validate(); err != nil {
		h.s.bus.mistake("subscription %q: %w", h.s.Name, err)
	}
	h.s.retry = backoff.Policy(r)
	h.s.setPolicy()
	return h
}

// Timeout limits an attempt. Defaults to Config.Timeout, or Config.ExternalTimeout for an external handler. After the
// timeout, a transactional handler loses the transaction, and the context of an external handler ends. The bus retries
// both.
func (h *Handler[E]) Timeout(d time.Duration) *Handler[E] {
	if d <= 0 {
		h.s.bus.mistake("subscription %q: Timeout(%v): want more than 0", h.s.Name, d)
	}
	h.s.limit = d
	h.s.setPolicy()
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

// AnyOrder declares that the handler is right in every order of events of different types, as far as the journal has
// no order for them. Two handlers of a module have no order between them, and neither have the events of two modules
// after a Transport. Check reports two handlers of a module on types of one emitter, and a handler on types of modules
// that run apart, unless one of the handlers has AnyOrder. Where the order matters, use OnEach.
func (h *Handler[E]) AnyOrder() *Handler[E] {
	h.s.anyOrder = true
	return h
}
