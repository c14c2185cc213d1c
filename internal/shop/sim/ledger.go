package sim

import (
	"fmt"
	"unicode/utf8"
)

// Ledger is the work of a World, for an audit.
type Ledger struct {
	Orders map[string]Account // by order id; every order of a call
	Calls  map[string]int     // by key: the number of calls, answered or not
}

// Account is the work for an order. Repeated calls with the same key count once.
type Account struct {
	Charged, Refunded              int64 // cents
	Charges, Refunds, Dispatches   int   // work that was done
	DeclinedCharges, Undeliverable int   // work that was refused
}

type kind string

const (
	charge   kind = "charge"
	refund   kind = "refund"
	dispatch kind = "dispatch"
)

// request is the request that a key identifies.
type request struct {
	Kind   kind   `json:"kind"`
	Key    string `json:"key"`
	Order  string `json:"order"`
	Amount int64  `json:"cents,omitempty"`
}

// String returns the request as error messages name it.
func (r request) String() string {
	if r.Kind == dispatch {
		return fmt.Sprintf("a %s for order %s", r.Kind, r.Order)
	}
	return fmt.Sprintf("a %s of %d cents for order %s", r.Kind, r.Amount, r.Order)
}

func (r request) check() error {
	switch {
	case r.Key == "":
		return fmt.Errorf("%w: %s has no key", ErrRequest, r)
	case r.Order == "":
		return fmt.Errorf("%w: %s %s names no order", ErrRequest, r.Kind, r.Key)
	case !utf8.ValidString(r.Key) || !utf8.ValidString(r.Order): // the file could not distinguish such keys
		return fmt.Errorf("%w: key %q or order %q is not UTF-8", ErrRequest, r.Key, r.Order)
	case r.Amount < 0:
		return fmt.Errorf("%w: %s is below zero", ErrRequest, r)
	}
	return nil
}

// answer is a final answer: the reference of the work, or the reason of a refusal.
type answer struct {
	Reference string `json:"reference,omitempty"`
	Refused   string `json:"refused,omitempty"`
}

// entry is a line of the file: a call that arrived or, with an Answer, work that was done.
type entry struct {
	request
	Answer *answer `json:"answer,omitempty"`
}

// history is the history of a key.
type history struct {
	request request
	calls   int
	answer  *answer // nil before the final answer
}

// state is the sum of all entries.
type state struct {
	keys   map[string]*history
	orders map[string]Account
}

func newState() state { return state{keys: map[string]*history{}, orders: map[string]Account{}} }

// apply adds an entry. A second answer to a key, which is never written, would have no effect.
func (s *state) apply(e entry) {
	k, ok := s.keys[e.Key]
	if !ok {
		k = &history{request: e.request}
		s.keys[e.Key] = k
	}
	account := s.orders[e.Order]
	switch {
	case e.Answer == nil:
		k.calls++
	case k.answer == nil:
		k.answer = e.Answer
		account.add(e)
	}
	s.orders[e.Order] = account
}

func (a *Account) add(e entry) {
	refused := e.Answer.Refused != ""
	switch {
	case e.Kind == charge && refused:
		a.DeclinedCharges++
	case e.Kind == charge:
		a.Charges++
		a.Charged += e.Amount
	case e.Kind == refund:
		a.Refunds++
		a.Refunded += e.Amount
	case e.Kind == dispatch && refused:
		a.Undeliverable++
	case e.Kind == dispatch:
		a.Dispatches++
	}
}

func (s *state) ledger() Ledger {
	l := Ledger{Orders: make(map[string]Account, len(s.orders)), Calls: make(map[string]int, len(s.keys))}
	for id, account := range s.orders {
		l.Orders[id] = account
	}
	for key, k := range s.keys {
		l.Calls[key] = k.calls
	}
	return l
}
