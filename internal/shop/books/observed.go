package books

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/inventory/inventoryevents"
	"github.com/troupebus/troupe/domain/notification"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
	"github.com/troupebus/troupe/domain/shipping"
	"github.com/troupebus/troupe/domain/shipping/shippingevents"
)

// Observed audits the shop by its events and the outcomes of their reactions, without the tables of any module.
// Events and outcomes determine all records of the modules, except the quantities in stock. Events may come in any
// order. Use an Observed in one goroutine only.
type Observed struct {
	before time.Time
	orders map[string]*observed
	dead   map[string][]string // reactions, by order
	wrong  []Problem
}

// NewObserved begins an audit. An order must have ended if all known events of the order are answered and the last
// one happened before before: the consequences of newer events may be in transit. An order without a known beginning
// is not checked, because the order may be older than the observer.
func NewObserved(before time.Time) *Observed {
	return &Observed{before: before, orders: map[string]*observed{}, dead: map[string][]string{}}
}

// observed is the state of an order, in 72 bytes, because there are millions of orders. Amounts are in cents.
type observed struct {
	happened [typesRead]uint16 // the number of events, by the index of the type in types
	done     uint8             // the finished reactions, by the index in silents
	open     bool              // an answer or an event is still to come
	older    bool              // an event must have come before the known events
	credit   bool
	overflow bool  // a sum of amounts overflowed
	last     int64 // the time of the last event or answer, in Unix microseconds

	total, refund     int64
	charged, refunded int64
}

func (o *observed) plus(to *int64, amount int64) {
	sum, ok := add(*to, amount)
	if !ok {
		o.overflow = true
		return
	}
	*to = sum
}

// The subscriptions that change a module's record and emit no event.
const (
	moveGoods     = "inventory/ship-and-restock"
	tellCompleted = "notification/tell-completed"
	tellCancelled = "notification/tell-cancelled"
)

// The event types of the shop.
var (
	placedType          = orderevents.Placed{}.EventType()
	completedType       = orderevents.Completed{}.EventType()
	cancelRequestedType = orderevents.CancelRequested{}.EventType()
	cancelledType       = orderevents.Cancelled{}.EventType()
	returnedType        = orderevents.Returned{}.EventType()
	reservedType        = inventoryevents.Reserved{}.EventType()
	shortType           = inventoryevents.Short{}.EventType()
	releasedType        = inventoryevents.Released{}.EventType()
	chargedType         = paymentevents.Charged{}.EventType()
	declinedType        = paymentevents.Declined{}.EventType()
	refundedType        = paymentevents.Refunded{}.EventType()
	dispatchedType      = shippingevents.Dispatched{}.EventType()
	undeliverableType   = shippingevents.Undeliverable{}.EventType()
)

// reads has every event type of the shop, with a function that adds a payload to the state of an order.
var reads = map[string]func(*observed, []byte) error{
	placedType:          payload(func(o *observed, e orderevents.Placed) { o.total = e.Total }),
	cancelRequestedType: payload(func(*observed, orderevents.CancelRequested) {}),
	completedType:       payload(func(*observed, orderevents.Completed) {}),
	cancelledType:       payload(func(*observed, orderevents.Cancelled) {}),
	returnedType:        payload(func(o *observed, e orderevents.Returned) { o.refund, o.credit = e.Refund, e.Credit }),
	reservedType:        payload(func(*observed, inventoryevents.Reserved) {}),
	shortType:           payload(func(*observed, inventoryevents.Short) {}),
	releasedType:        payload(func(*observed, inventoryevents.Released) {}),
	chargedType:         payload(func(o *observed, e paymentevents.Charged) { o.plus(&o.charged, e.Amount) }),
	declinedType:        payload(func(*observed, paymentevents.Declined) {}),
	refundedType:        payload(func(o *observed, e paymentevents.Refunded) { o.plus(&o.refunded, e.Amount) }),
	dispatchedType:      payload(func(*observed, shippingevents.Dispatched) {}),
	undeliverableType:   payload(func(*observed, shippingevents.Undeliverable) {}),
}

// typesRead is the number of types in reads.
const typesRead = 13

var (
	types   = slices.Sorted(maps.Keys(reads))
	indexes = func() map[string]int {
		indexes := map[string]int{}
		for i, t := range types {
			indexes[t] = i
		}
		return indexes
	}()
	silents = []silent{
		{completedType, moveGoods}, {returnedType, moveGoods}, {completedType, tellCompleted}, {cancelledType, tellCancelled},
	}
)

// silent is a reaction of a subscription to a type that changes a module's record and emits no event.
type silent struct{ eventType, subscription string }

// times returns the number of events of a type.
func (s *observed) times(eventType string) uint16 { return s.happened[indexes[eventType]] }

// did reports whether a reaction in silents is done.
func (s *observed) did(r silent) bool {
	i := slices.Index(silents, r)
	return i >= 0 && s.done&(1<<i) != 0
}

func payload[E any](add func(*observed, E)) func(*observed, []byte) error {
	return func(o *observed, data []byte) error {
		var e E
		if err := json.Unmarshal(data, &e); err != nil {
			return err
		}
		add(o, e)
		return nil
	}
}

// Add adds an event and the answers to the event. Events of other programs are ignored.
func (o *Observed) Add(e *journal.Event, answers []journal.Reaction) {
	read := reads[e.Type]
	if read == nil {
		return
	}
	s := o.orders[e.Key]
	if s == nil {
		s = &observed{}
		o.orders[e.Key] = s
	}
	if err := read(s, e.Data); err != nil {
		o.wrong = append(o.wrong, Problem{OrderID: e.Key, What: fmt.Sprintf("event %s (%s) cannot be read: %v", e.ID, e.Type, err)})
	}
	if n := &s.happened[indexes[e.Type]]; *n < math.MaxUint16 {
		*n++
	}
	s.older = s.older || e.CausationID != "" || e.Type == returnedType || e.Type == cancelRequestedType
	s.at(e.Time)
	for _, a := range answers {
		s.at(a.Started.Add(a.Duration))
		switch {
		case !a.Outcome.Final():
			s.open = true
		case a.Outcome == journal.Done:
			if i := slices.Index(silents, silent{e.Type, a.Subscription}); i >= 0 {
				s.done |= 1 << i
			}
		case a.Outcome == journal.Dead:
			o.dead[e.Key] = append(o.dead[e.Key], a.Subscription)
		}
	}
}

// Expect records that an event of an order is still to come. Call Expect after the last Add.
func (o *Observed) Expect(orderID string) {
	if s := o.orders[orderID]; s != nil {
		s.open = true
	}
}

func (s *observed) at(t time.Time) {
	s.last = max(s.last, t.UnixMicro())
}

// Report returns the result, and reports whether every order was checked for its end.
func (o *Observed) Report() (r Report, settled bool) {
	r.Wrong, settled = o.wrong, true
	for _, id := range slices.Sorted(maps.Keys(o.orders)) {
		s := o.orders[id]
		found := s.contradictions()
		quiet := !s.open && s.last < o.before.UnixMicro()
		settled = settled && quiet
		switch e := s.entry(id); {
		case !s.partial():
			r.count(id, e)
			if quiet {
				found = append(found, e.problems(true)...)
			}
		case quiet: // otherwise the beginning may be in transit
			r.Partial++
		}
		for _, what := range found {
			if dead := o.dead[id]; len(dead) > 0 {
				what += "; dead: " + strings.Join(slices.Compact(slices.Sorted(slices.Values(dead))), ", ")
			}
			r.Wrong = append(r.Wrong, Problem{OrderID: id, What: what})
		}
	}
	if settled {
		r.Wrong = append(r.Wrong, r.totals()...)
	}
	if r.Wrong == nil {
		r.Wrong = []Problem{}
	}
	r.OK = len(r.Wrong) == 0
	return r, settled
}

// partial reports whether the order began before the known events.
func (s *observed) partial() bool { return s.older && !s.credit && s.times(placedType) == 0 }

// contradictions returns the mistakes that are wrong at any instant.
func (s *observed) contradictions() (found []string) {
	for i, t := range types {
		if n := s.happened[i]; n > 1 {
			found = append(found, fmt.Sprintf("%s happened %d times", t, n))
		}
	}
	for _, pair := range [][2]string{
		{completedType, cancelledType}, {reservedType, shortType}, {chargedType, declinedType},
		{dispatchedType, undeliverableType},
	} {
		if s.times(pair[0]) > 0 && s.times(pair[1]) > 0 {
			found = append(found, fmt.Sprintf("%s and %s both happened", pair[0], pair[1]))
		}
	}
	if s.overflow {
		found = append(found, "the sum of the charges or refunds overflows")
	}
	if !s.credit && !s.partial() && s.refunded > s.charged {
		found = append(found, fmt.Sprintf("%s was refunded, but only %s charged", money(s.refunded), money(s.charged)))
	}
	return found
}

// entry returns the records that the modules must have, by the last event of each.
func (s *observed) entry(id string) *entry {
	e := &entry{payment: payment.Fact{OrderID: id, Charged: s.charged, Refunded: s.refunded, Credit: s.credit}}
	switch {
	case s.credit:
		e.order = order.Fact{OrderID: id, Total: s.refund, Credit: true, Status: order.StatusReturned}
	case s.times(placedType) > 0:
		e.order = order.Fact{OrderID: id, Total: s.total, Status: latest(s, []recordAfter[order.Status]{
			{returnedType, "", order.StatusReturned},
			{completedType, "", order.StatusCompleted},
			{cancelledType, "", order.StatusCancelled},
			{placedType, "", order.StatusPlaced},
		})}
	}
	e.goods = inventory.Fact{OrderID: id, State: latest(s, []recordAfter[inventory.State]{
		{returnedType, moveGoods, inventory.StateReturned},
		{completedType, moveGoods, inventory.StateShipped},
		{releasedType, "", inventory.StateReleased},
		{reservedType, "", inventory.StateReserved},
		{shortType, "", inventory.StateShort},
	})}
	e.payment.Status = latest(s, []recordAfter[payment.Status]{
		{refundedType, "", payment.StatusRefunded},
		{chargedType, "", payment.StatusCharged},
		{declinedType, "", payment.StatusDeclined},
	})
	e.parcel = shipping.Fact{OrderID: id, Status: latest(s, []recordAfter[shipping.Status]{
		{dispatchedType, "", shipping.StatusDispatched},
		{undeliverableType, "", shipping.StatusUndeliverable},
	})}
	e.notice = notification.Fact{OrderID: id, Kind: latest(s, []recordAfter[notification.Kind]{
		{completedType, tellCompleted, notification.KindCompleted},
		{cancelledType, tellCancelled, notification.KindCancelled},
	})}
	return e
}

// recordAfter is the record of a module after an event and, if done is not empty, after the reaction to the event.
type recordAfter[S any] struct {
	happened, done string
	is             S
}

// latest returns the record of the first step that was taken. The steps go from the end of an order to the beginning.
func latest[S any](s *observed, steps []recordAfter[S]) (is S) {
	for _, step := range steps {
		if s.times(step.happened) > 0 && (step.done == "" || s.did(silent{step.happened, step.done})) {
			return step.is
		}
	}
	return is
}
