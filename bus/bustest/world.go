package bustest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
)

// Errors that a Service answers with when it is told to, or when Explore wants it.
var (
	// ErrUnavailable: the service did nothing.
	ErrUnavailable = errors.New("bustest: service unavailable")
	// ErrNoAnswer: the service did what it was asked, but its answer was lost.
	ErrNoAnswer = errors.New("bustest: the answer was lost")
)

// Trouble is what may happen to a call.
type Trouble int

// The troubles. A call that hangs has no answer until its context ends.
const (
	Fails Trouble = iota + 1
	Hangs
	LosesAnswer
)

// String says it of the call.
func (t Trouble) String() string {
	return [...]string{"answers", "fails", "hangs", "loses its answer"}[t]
}

// World is what is outside of the system: fakes that remember, over crashes, what they were asked and have done.
type World struct {
	core     *core
	mu       sync.Mutex
	services map[string]*Service
}

// Service returns the fake called name, a new one at the first time.
func (w *World) Service(name string) *Service {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.services[name]
	if s == nil {
		s = &Service{name: name, core: w.core, answers: map[string]answer{}, keys: map[nth]string{}, counts: map[calls]int{}, troubles: map[string][]Trouble{},
			unheard: unheard{failed: map[string]*handed{}, heard: map[string]bool{}}}
		w.services[name] = s
	}
	return s
}

// Service is a fake of something outside, idempotent by key as the real ones are.
type Service struct {
	name string
	core *core

	mu       sync.Mutex
	calls    []Call
	answers  map[string]answer // by operation and key
	keys     map[nth]string    // that a delivery used
	counts   map[calls]int
	troubles map[string][]Trouble // by operation: of the next calls
	unheard  unheard
}

// calls are those of one operation in one run of a handler; nth is the n-th of them, in whichever run.
type (
	calls struct {
		run *handed
		op  string
	}
	nth struct {
		delivery, op string
		n            int
	}
)

type answer struct {
	value   any
	err     error
	request []byte
}

// Request is a call of a Service.
type Request struct {
	Op   string // the operation, "charge"
	Key  string // the idempotency key; within an operation it stands for one Body
	Body any    // what is asked for, as encoding/json has it
}

// id is what r's answer is kept under.
func (r Request) id() string { return r.Op + "\x00" + r.Key }

// Call is a Request that came, and what became of it.
type Call struct {
	Request
	Subscription string  // whose reaction asked
	Trouble      Trouble // zero when it was answered
	Did          bool    // it was this call that had the effect
	Err          error   // the service's own answer, such as that it declines
}

// Next tells the service what happens to its next calls of op, in turn.
func (s *Service) Next(op string, troubles ...Trouble) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.troubles[op] = append(s.troubles[op], troubles...)
}

// Calls returns every call of op, in their order; of every operation when op is "".
func (s *Service) Calls(op string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.calls), func(c Call) bool { return op != "" && c.Op != op })
}

// Done returns the calls that had an effect, one a key: what the service has on its books. Those that it declined are not
// among them.
func (s *Service) Done(op string) []Call {
	return slices.DeleteFunc(s.Calls(op), func(c Call) bool { return !c.Did || c.Err != nil })
}

// Ask is how a fake answers: it has do work out the answer to r, once a key, unless trouble was ordered. An error of do
// is an answer too. do must not call s. ctx must be the handler's.
func Ask[A any](ctx context.Context, s *Service, r Request, do func() (A, error)) (A, error) {
	value, err := s.ask(ctx, r, func() (any, error) { return do() })
	a, ok := value.(A)
	if err == nil && !ok {
		err = fmt.Errorf("bustest: %s.%s answers with a %T, where a %T is asked for", s.name, r.Op, value, a)
	}
	return a, err
}

// Query is how a fake answers a question that changes nothing: do works out the answer anew for each call, and no key is needed.
// It can fail, hang or lose its answer as a call of Ask can. ctx must be the handler's.
func Query[A any](ctx context.Context, s *Service, op string, do func() (A, error)) (A, error) {
	var none A
	run, ok := ctx.Value(handedKey{}).(*handed)
	if !ok {
		return none, notOutside(s, op)
	}
	trouble, err := s.trouble(run.life, Request{Op: op}, bus.Delivery(ctx))
	if err != nil {
		return none, err
	}
	if trouble != 0 {
		return none, s.fail(ctx, run, op, trouble)
	}
	return do()
}

// notOutside returns the error for a call from anywhere but an external handler.
func notOutside(s *Service, op string) error {
	return fmt.Errorf("bustest: %s.%s: called with a context that is not an external handler's", s.name, op)
}

// fail returns what a call that meets trouble comes to: a call that hangs does so until its context ends.
func (s *Service) fail(ctx context.Context, run *handed, op string, trouble Trouble) error {
	switch trouble {
	case Fails:
		return fmt.Errorf("%w: %s.%s", ErrUnavailable, s.name, op)
	case Hangs:
		select {
		case <-ctx.Done():
		case <-run.life.dead:
		}
		return fmt.Errorf("%s.%s: no answer: %w", s.name, op, cmp.Or(ctx.Err(), journal.ErrClosed))
	default:
		return fmt.Errorf("%w: %s.%s", ErrNoAnswer, s.name, op)
	}
}

func (s *Service) ask(ctx context.Context, r Request, do func() (any, error)) (any, error) {
	body, err := json.Marshal(r.Body)
	if err != nil {
		return nil, fmt.Errorf("bustest: %s.%s: %w", s.name, r.Op, err)
	}
	info := bus.Delivery(ctx)
	run, ok := ctx.Value(handedKey{}).(*handed)
	if !ok {
		return nil, notOutside(s, r.Op)
	}
	trouble, err := s.trouble(run.life, r, info)
	if err != nil {
		return nil, err
	}
	s.check(run, r, info, body)
	call := Call{Request: r, Subscription: info.Subscription, Trouble: trouble}
	var a answer
	if trouble == 0 || trouble == LosesAnswer {
		a, call.Did = s.answer(r, body, do)
		call.Err = a.err
	}
	s.mu.Lock()
	s.calls = append(s.calls, call)
	s.unheard.hear(r.id(), run, trouble)
	s.mu.Unlock()
	if trouble != 0 {
		return nil, s.fail(ctx, run, r.Op, trouble)
	}
	return a.value, a.err
}

// check holds a call against what makes repeating it safe.
func (s *Service) check(run *handed, r Request, d bus.Info, body []byte) {
	if s.core.without&Keys != 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Key == "" {
		s.core.fault("%s called %s.%s without an idempotency key: bus.Delivery(ctx).ID is one; for a question that changes nothing use Query", d.Subscription, s.name, r.Op)
		return
	}
	if d.ID != "" {
		in := calls{run, r.Op}
		of := nth{d.ID, r.Op, s.counts[in]}
		s.counts[in]++
		if before, ok := s.keys[of]; ok && before != r.Key {
			s.core.fault("%s called %s.%s again with another idempotency key", d.Subscription, s.name, r.Op)
		}
		s.keys[of] = r.Key
	}
	if before, ok := s.answers[r.id()]; ok && string(before.request) != string(body) {
		s.core.fault("%s called %s.%s with a key that stands for another request: %s, now %s", d.Subscription, s.name, r.Op, before.request, body)
	}
}

// trouble says what happens to a call, when it is its turn.
func (s *Service) trouble(l *life, r Request, d bus.Info) (Trouble, error) {
	st := newStep(stepCall, s.name+"."+r.Op)
	st.by, st.about, st.attempt = d.Subscription, l.eventOf(d.EventID), d.Attempt
	decided, err := l.pass(st)
	close(st.done)
	if err != nil {
		return 0, err
	}
	for trouble, f := range faultOf {
		if f == decided {
			return trouble, nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.troubles[r.Op]
	if len(next) == 0 {
		return 0, nil
	}
	s.troubles[r.Op] = next[1:]
	s.core.seen.fault(st, faultOf[next[0]])
	return next[0], nil
}

// faultOf is what a scheduler calls a trouble.
var faultOf = map[Trouble]fault{Fails: faultFails, Hangs: faultHangs, LosesAnswer: faultLoses}

// answer returns the answer for r's key, and whether it was worked out now.
func (s *Service) answer(r Request, body []byte, do func() (any, error)) (answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.answers[r.id()]; ok && r.Key != "" {
		return a, false
	}
	value, err := do()
	a := answer{value, err, body}
	s.answers[r.id()] = a
	return a, true
}
