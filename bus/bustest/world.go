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

// Errors of a Service, caused by Service.Next or by Explore.
var (
	// ErrUnavailable: the service did not run the call.
	ErrUnavailable = errors.New("bustest: service unavailable")
	// ErrNoAnswer: the service ran the call, but its answer was lost.
	ErrNoAnswer = errors.New("bustest: the answer was lost")
)

// Trouble is a failure of a call.
type Trouble int

// The troubles. A call that hangs has no answer until its context ends.
const (
	Fails Trouble = iota + 1
	Hangs
	LosesAnswer
)

// String returns the verb for a call with this trouble.
func (t Trouble) String() string {
	return [...]string{"answers", "fails", "hangs", "loses its answer"}[t]
}

// World holds the fakes of external services. Fakes remember requests and effects across crashes.
type World struct {
	core     *core
	mu       sync.Mutex
	services map[string]*Service
}

// Service returns the fake with this name, and creates the fake on first use.
func (w *World) Service(name string) *Service {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.services[name]
	if s == nil {
		s = &Service{
			name: name, core: w.core, answers: map[string]answer{}, keys: map[nth]string{}, counts: map[calls]int{},
			troubles: map[string][]Trouble{},
			unheard:  unheard{failed: map[string]*handed{}, heard: map[string]bool{}},
		}
		w.services[name] = s
	}
	return s
}

// Service is the fake of an external service. Like real services, a fake is idempotent by key.
type Service struct {
	name string
	core *core

	mu       sync.Mutex
	calls    []Call
	answers  map[string]answer // by operation and key
	keys     map[nth]string    // used by a delivery
	counts   map[calls]int
	troubles map[string][]Trouble // for the next calls, by operation
	unheard  unheard
}

// calls identifies the calls of an operation in one run of a handler. nth identifies the n-th call of an operation by a
// delivery, in any run.
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
	hung    bool // until the context of the call ended: no answer
}

// Request is a call to a Service.
type Request struct {
	Op   string // the operation, such as "charge"
	Key  string // the idempotency key; within an operation, a key belongs to one Body
	Body any    // the content, compared as JSON
}

// id returns the map key of r's answer.
func (r Request) id() string { return r.Op + "\x00" + r.Key }

// Call is a received Request, and its result.
type Call struct {
	Request
	Subscription string  // the caller
	Trouble      Trouble // zero if the call was answered
	Did          bool    // whether the effect is due to this call
	Err          error   // the service's own answer, such as a refusal
}

// Next plans troubles for the next calls of op, in order.
func (s *Service) Next(op string, troubles ...Trouble) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.troubles[op] = append(s.troubles[op], troubles...)
}

// Calls returns every call of op, in order; "" means every operation.
func (s *Service) Calls(op string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.calls), func(c Call) bool { return op != "" && c.Op != op })
}

// Done returns the calls of op with an effect, at most one for each key: the books of the service. Declined calls are
// left out.
func (s *Service) Done(op string) []Call {
	return slices.DeleteFunc(s.Calls(op), func(c Call) bool { return !c.Did || c.Err != nil })
}

// Ask answers a call to a fake. Ask calls do once for each key, and returns the same answer when the key is repeated. A
// planned trouble replaces the answer. An error from do is an answer, too, except for the end of ctx: that call hangs.
// The function do must not call s. ctx must be the handler's.
func Ask[A any](ctx context.Context, s *Service, r Request, do func() (A, error)) (A, error) {
	value, err := s.ask(ctx, r, func() (any, error) { return do() })
	a, ok := value.(A)
	if err == nil && !ok {
		err = fmt.Errorf("bustest: %s.%s answers with a %T, want a %T", s.name, r.Op, value, a)
	}
	return a, err
}

// Query answers a call to a fake that changes no state: do runs for each call, and no key is needed. A Query can fail,
// hang or lose its answer like a call of Ask. ctx must be the handler's.
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

// notOutside returns the error for a call from outside of an external handler.
func notOutside(s *Service, op string) error {
	return fmt.Errorf("bustest: %s.%s: called with a context that is not an external handler's", s.name, op)
}

// fail returns the error of a call with trouble. A call that hangs returns when its context ends or the process dies.
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
		return nil, fmt.Errorf("%s.%s: %w", s.name, r.Op, err)
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
		a, call.Did = s.answer(ctx, r, body, do)
		if call.Err = a.err; a.hung {
			trouble = Hangs
			call.Trouble, call.Err = trouble, nil
		}
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

// check notes a fault when a call cannot be repeated safely.
func (s *Service) check(run *handed, r Request, d bus.Info, body []byte) {
	if s.core.without&Keys != 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Key == "" {
		s.core.fault("%s called %s.%s without an idempotency key: pass bus.Delivery(ctx).ID, or use Query for a call that changes no state", d.Subscription, s.name, r.Op)
		return
	}
	if d.ID != "" {
		counted := calls{run, r.Op}
		call := nth{d.ID, r.Op, s.counts[counted]}
		s.counts[counted]++
		if before, ok := s.keys[call]; ok && before != r.Key {
			s.core.fault("%s called %s.%s again with another idempotency key", d.Subscription, s.name, r.Op)
		}
		s.keys[call] = r.Key
	}
	if before, ok := s.answers[r.id()]; ok && string(before.request) != string(body) {
		s.core.fault("%s called %s.%s with the key of another request: %s, now %s", d.Subscription, s.name, r.Op, before.request, body)
	}
}

// trouble waits for the turn of a call, and returns the trouble of the call. A decision of the scheduler comes before a
// planned trouble.
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

// faultOf maps a trouble to the scheduler's fault.
var faultOf = map[Trouble]fault{Fails: faultFails, Hangs: faultHangs, LosesAnswer: faultLoses}

// answer returns the answer for r's key, and whether do gave the answer now.
func (s *Service) answer(ctx context.Context, r Request, body []byte, do func() (any, error)) (answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.answers[r.id()]; ok && r.Key != "" {
		return a, false
	}
	value, err := do()
	a := answer{value: value, err: err, request: body}
	if a.hung = ctx.Err() != nil && errors.Is(err, ctx.Err()); !a.hung {
		s.answers[r.id()] = a
	}
	return a, !a.hung
}
