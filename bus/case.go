package bus

import (
	"context"
	"reflect"
	"slices"

	"github.com/troupebus/troupe/bus/internal/react"
	"github.com/troupebus/troupe/bus/journal"
)

// OnEach registers the cases as one handler of m for events of several types. Events of one key reach the handler in
// the order of the journal, whatever their types; of a type that the handler gains later, older events come, too, after
// newer events of the other types. Make each case with Of.
//
// The journal has the order of the commits. Events of modules in other processes are in the journal in the order of
// their arrival: of one module in the order of its commits, of two modules in no order. Check reports a handler whose
// types lose their order so; AnyOrder accepts the loss.
//
// A handler may gain and lose types, under the same name. Older events of a gained type are handled, unless the case
// has FromNow. Events of a lost type that are open when Run begins become dead letters: a program that has the case
// can replay them.
func OnEach(m *Module, name string, cases ...anyCase) *Handler[Event] {
	s := m.subscribe(name)
	if len(cases) == 0 {
		m.bus.mistake("subscription %q has no case: want at least one Of", s.Name)
	}
	for _, c := range cases {
		r := c.reactionOf(s)
		if s.To(r.EventType) != nil {
			m.bus.mistake("subscription %q has two cases of %q", s.Name, r.EventType)
		}
		s.Reactions = append(s.Reactions, r)
	}
	return &Handler[Event]{s: s}
}

// Case is the part of a handler that gets events of type E. Call its methods before OnEach.
type Case[E Event] struct {
	fn      func(ctx context.Context, e E) (Events, error)
	want    func(e E) bool
	notWant bool // When was called with nil
	fromNow bool
}

// Of returns the case of events of type E, for OnEach.
func Of[E Event](fn func(ctx context.Context, e E) (Events, error)) *Case[E] { return &Case[E]{fn: fn} }

// When makes the case skip events for which want returns false, as Handler.When does for all cases.
func (c *Case[E]) When(want func(e E) bool) *Case[E] {
	c.want, c.notWant = want, want == nil
	return c
}

// FromNow makes the handler skip older events of the type, when the handler is new or gains the type. The rules of
// Handler.FromNow apply.
func (c *Case[E]) FromNow() *Case[E] {
	c.fromNow = true
	return c
}

// anyCase is a Case of any type.
type anyCase interface {
	reactionOf(s *subscription) *reaction
}

// reaction is how a subscription treats events of a type.
type reaction = react.Reaction[Event, Events]

// reactionOf returns the case as a reaction of s, and reports mistakes.
func (c *Case[E]) reactionOf(s *subscription) *reaction {
	b := s.bus
	r := &reaction{FromNow: c.fromNow}
	if t := reflect.TypeFor[E](); t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		b.mistake("subscription %q takes %v: a handler takes the struct of the event, neither a pointer nor an interface; "+
			"OnEach takes several types", s.Name, t)
	} else {
		var zero E
		r.EventType = b.register(zero)
	}
	if c.fn == nil {
		b.mistake(noFunction, s.Name)
	}
	if c.notWant {
		b.mistake(noFilter, s.Name)
	}
	r.Decode = func(e *journal.Event) (Event, error) { return decode[E](e, b.cfg.MaxPayload, b.cfg.Keys) }
	r.Handle = func(ctx context.Context, e Event) (Events, error) { return c.fn(ctx, e.(E)) }
	if c.want != nil {
		r.Wants = func(e Event) bool { return c.want(e.(E)) }
	}
	return r
}

const (
	noFunction = "subscription %q has no handler: pass a function"
	noFilter   = "subscription %q: When(nil): want a function"
)

// subscribe adds a subscription without reactions.
func (m *Module) subscribe(name string) *subscription {
	b := m.bus
	b.mustBeOpen("subscription", m.name+"/"+name)
	s := b.newSubscription(m, name)
	s.wiredAt, s.Around = wiringSite(), b.cfg.Around
	if !validName.MatchString(name) {
		b.mistake("subscription %q: a name has lower case letters and digits, with single dashes or underscores between", s.Name)
	}
	b.subscriptions = append(b.subscriptions, s)
	return s
}

// types returns the event types that s consumes, sorted.
func (s *subscription) types() (types []string) {
	if len(s.patterns) > 0 {
		return s.matched()
	}
	for _, r := range s.Reactions {
		if r.EventType != "" {
			types = append(types, r.EventType)
		}
	}
	slices.Sort(types)
	return types
}
