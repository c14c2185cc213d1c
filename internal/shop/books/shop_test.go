package books

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/troupebus/troupe/domain/order/orderevents"
)

type event interface {
	EventType() string
	EventKey() string
}

// shop runs the choreography on the modules' stores, one step at a time. Each subscription gets the events of one key
// in order; which of all that could happen next does happen, is drawn from the seed, and so are failures, crashes and
// repetitions.
type shop struct {
	tb      testing.TB
	r       *rand.Rand
	db      *database
	outside *outside
	subs    []*subscription
	emitted map[string]int // how often, by type: what a run has come across
}

// subscription is a reaction and what waits for it.
type subscription struct {
	reaction
	waiting map[string][]*delivery // by key
	keys    []string               // of waiting, in the order of their coming: maps have none
}

type delivery struct {
	id    string // the idempotency key
	event event
	stage int // 0 not begun, 1 begun, 2 answered
	call  func() (event, error)
	reply event
}

func newShop(tb testing.TB, seed uint64) *shop {
	r := rand.New(rand.NewPCG(seed, 0))
	s := &shop{tb: tb, r: r, db: MustOpen(tb), outside: newOutside(r), emitted: map[string]int{}}
	for _, re := range reactions(s.outside) {
		s.subs = append(s.subs, &subscription{reaction: re, waiting: map[string][]*delivery{}})
	}
	return s
}

// publish hands events to all who react to them.
func (s *shop) publish(events []event) {
	for _, e := range events {
		s.emitted[e.EventType()]++
		for _, sub := range s.subs {
			if sub.on != e.EventType() && sub.or != e.EventType() || sub.when != nil && !sub.when(e) {
				continue
			}
			key := e.EventKey()
			if len(sub.waiting[key]) == 0 {
				sub.keys = append(sub.keys, key)
			}
			id := fmt.Sprintf("%s:%s:%d", sub.name, key, s.emitted[e.EventType()])
			sub.waiting[key] = append(sub.waiting[key], &delivery{id: id, event: e})
		}
	}
}

// step lets one delivery go on, and reports whether there was any.
func (s *shop) step() bool {
	var ready []*subscription
	for _, sub := range s.subs {
		for range sub.keys { // one ticket for each key
			ready = append(ready, sub)
		}
	}
	if len(ready) == 0 {
		return false
	}
	sub := ready[s.r.IntN(len(ready))]
	i := s.r.IntN(len(sub.keys))
	key := sub.keys[i]
	if s.advance(sub, sub.waiting[key][0]) {
		sub.waiting[key] = sub.waiting[key][1:]
		if len(sub.waiting[key]) == 0 {
			sub.keys = append(sub.keys[:i], sub.keys[i+1:]...)
		}
	}
	return true
}

// advance takes a delivery one stage on, and reports whether that was the last. At any stage it may be thrown back to the
// first, as by a crash.
func (s *shop) advance(sub *subscription, d *delivery) bool {
	if s.r.IntN(10) == 0 {
		d.stage = 0
		return false
	}
	if sub.begin == nil {
		s.react(sub, d.event)
		return true
	}
	switch d.stage {
	case 0:
		d.call = s.mustBegin(sub, d)
		d.stage = 1
		return d.call == nil
	case 1:
		reply, err := d.call()
		switch {
		case errors.Is(err, errNoAnswer):
			d.stage = 0
		case err != nil:
			s.tb.Fatalf("%s of %s: %v", sub.name, d.event.EventKey(), err)
		default:
			d.reply, d.stage = reply, 2
		}
		return false
	}
	s.react(sub, d.reply)
	if s.mustBegin(sub, d) != nil && !sub.blind {
		s.tb.Errorf("%s of %s would call again after its answer was recorded", sub.name, d.event.EventKey())
	}
	return true
}

func (s *shop) mustBegin(sub *subscription, d *delivery) (call func() (event, error)) {
	err := s.db.do(s.tb.Context(), sub.module, func(tx *sql.Tx) (err error) {
		call, err = sub.begin(s.tb.Context(), tx, d)
		return err
	})
	if err != nil {
		s.tb.Fatalf("begin %s of %s: %v", sub.name, d.event.EventKey(), err)
	}
	return call
}

// react runs a reaction and publishes what it emits. Now and then it runs twice; then the second must emit nothing.
func (s *shop) react(sub *subscription, e event) {
	for n := range 1 + s.r.IntN(2) {
		var out []event
		err := s.db.do(s.tb.Context(), sub.module, func(tx *sql.Tx) (err error) {
			out, err = sub.run(s.tb.Context(), tx, e)
			return err
		})
		if err != nil {
			s.tb.Fatalf("%s of %s: %v", sub.name, e.EventKey(), err)
		}
		if n > 0 && len(out) > 0 {
			s.tb.Errorf("%s of %s, repeated, emits %v", sub.name, e.EventKey(), out)
		}
		s.publish(out)
	}
}

// ask does what a customer or the importer asks for. Asking for what cannot be done, or not any more, is an answer too.
func (s *shop) ask(module string, fn func(context.Context, *sql.Tx) ([]event, error), refusals ...error) {
	var out []event
	err := s.db.do(s.tb.Context(), module, func(tx *sql.Tx) (err error) {
		out, err = fn(s.tb.Context(), tx)
		return err
	})
	for _, refusal := range refusals {
		if errors.Is(err, refusal) {
			return
		}
	}
	if err != nil {
		s.tb.Fatal(err)
	}
	s.publish(out)
}

func lines(r *rand.Rand) []orderevents.Line {
	var l []orderevents.Line
	for range 1 + r.IntN(3) {
		l = append(l, orderevents.Line{SKU: skus[r.IntN(len(skus))], Quantity: 1 + r.Int64N(3), UnitPrice: r.Int64N(2) * 250})
	}
	return l
}

var skus = []string{"a", "b", "c"}
