package books

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/domain/inventory/inventoryevents"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
	"github.com/troupebus/troupe/domain/shipping/shippingevents"
)

// told is an event with what became of it.
type told struct {
	event
	answers []journal.Reaction
}

func done(subscription string) journal.Reaction { return was(subscription, journal.Done) }

func was(subscription string, o journal.Outcome) journal.Reaction {
	return journal.Reaction{Subscription: subscription, Outcome: o}
}

// stories has one order for each way that there is.
func stories() map[string][]told {
	charged := func(id string) []told {
		return []told{
			{orderevents.Placed{OrderID: id, Total: 1000}, []journal.Reaction{done("inventory/reserve-stock")}},
			{inventoryevents.Reserved{OrderID: id, Total: 1000}, []journal.Reaction{done("payment/charge")}},
			{paymentevents.Charged{OrderID: id, Amount: 1000}, []journal.Reaction{done("shipping/dispatch")}},
		}
	}
	cancelled := told{orderevents.Cancelled{}, []journal.Reaction{done(tellCancelled)}}
	end := func(id string) told { cancelled.event = orderevents.Cancelled{OrderID: id}; return cancelled }
	completed := func(id string) []told {
		return append(charged(id),
			told{shippingevents.Dispatched{OrderID: id}, []journal.Reaction{done("order/complete")}},
			told{orderevents.Completed{OrderID: id, Total: 1000}, []journal.Reaction{done(moveGoods), done(tellCompleted)}})
	}
	return map[string][]told{
		"done": completed("done"),
		"short": {
			{orderevents.Placed{OrderID: "short", Total: 1000}, []journal.Reaction{done("inventory/reserve-stock")}},
			{inventoryevents.Short{OrderID: "short"}, nil}, end("short"),
		},
		"declined": append(charged("declined")[:2],
			told{paymentevents.Declined{OrderID: "declined"}, nil}, told{inventoryevents.Released{OrderID: "declined"}, nil}, end("declined")),
		"lost": append(charged("lost"),
			told{shippingevents.Undeliverable{OrderID: "lost"}, nil}, told{paymentevents.Refunded{OrderID: "lost", Amount: 1000, Reason: paymentevents.ReasonUndeliverable}, nil},
			told{inventoryevents.Released{OrderID: "lost"}, nil}, end("lost")),
		"back": append(completed("back"),
			told{orderevents.Returned{OrderID: "back", Refund: 1000}, []journal.Reaction{done(moveGoods)}},
			told{paymentevents.Refunded{OrderID: "back", Amount: 1000, Reason: paymentevents.ReasonReturned}, nil}),
		"C1": {
			{orderevents.Returned{OrderID: "C1", Refund: 300, Credit: true}, []journal.Reaction{done(moveGoods)}},
			{paymentevents.Refunded{OrderID: "C1", Amount: 300, Reason: paymentevents.ReasonReturned}, nil},
		},
	}
}

// MustObserve audits stories, told in the order in which a map has them. Everything happened a minute after the beginning of time.
func MustObserve(tb testing.TB, stories map[string][]told, before time.Duration) (Report, bool) {
	tb.Helper()
	o := NewObserved(time.Unix(0, 0).Add(before))
	for id, story := range stories {
		for i, e := range story {
			data, err := json.Marshal(e.event)
			if err != nil {
				tb.Fatal(err)
			}
			o.Add(&journal.Event{ID: fmt.Sprint(id, i), Type: e.EventType(), Key: e.EventKey(), Time: time.Unix(60, 0), Data: data}, e.answers)
		}
	}
	return o.Report()
}

func TestObservedBalance(t *testing.T) {
	t.Parallel()
	want := Report{OK: true, Wrong: []Problem{}, Orders: 6, Completed: 1, Cancelled: 3, Returned: 2, Charged: 3000, Refunded: 2300, Sold: 700}
	for _, c := range []struct {
		before  time.Duration
		settled bool
	}{{time.Hour, true}, {time.Minute, false}} {
		if got, settled := MustObserve(t, stories(), c.before); !reflect.DeepEqual(got, want) || settled != c.settled {
			t.Errorf("%+v, settled %t; want %+v, %t", got, settled, want, c.settled)
		}
	}
	if r, settled := MustObserve(t, nil, 0); !r.OK || r.Wrong == nil || !settled {
		t.Errorf("nothing: %+v, settled %t", r, settled)
	}
}

// An order to which something is still to come may be unfinished; another may not.
func TestObservedExpects(t *testing.T) {
	t.Parallel()
	for id, wrong := range map[string]int{"slow": 0, "other": 1, "": 1} {
		o := NewObserved(time.Unix(3600, 0))
		data, err := json.Marshal(orderevents.Placed{OrderID: "slow", Total: 1000})
		if err != nil {
			t.Fatal(err)
		}
		o.Add(&journal.Event{ID: "1", Type: placedType, Key: "slow", Time: time.Unix(60, 0), Data: data}, nil)
		o.Expect(id)
		if r, settled := o.Report(); len(r.Wrong) < wrong || wrong == 0 && (len(r.Wrong) > 0 || settled) {
			t.Errorf("%q is waited for: %+v, settled %t", id, r.Wrong, settled)
		}
	}
}

// TestObservedBreakages breaks one thing each, and wants to hear of it, about the right order.
func TestObservedBreakages(t *testing.T) {
	t.Parallel()
	without := func(id, eventType string) func(map[string][]told) {
		return func(s map[string][]told) {
			s[id] = slices.DeleteFunc(s[id], func(e told) bool { return e.EventType() == eventType })
		}
	}
	with := func(id string, e event) func(map[string][]told) {
		return func(s map[string][]told) { s[id] = append(s[id], told{e, nil}) }
	}
	answer := func(id string, a ...journal.Reaction) func(map[string][]told) {
		return func(s map[string][]told) { s[id][len(s[id])-1].answers = a }
	}
	for _, tt := range []struct {
		breaks      func(map[string][]told)
		order, want string
		always      bool // it is wrong at any instant, not only in the end
	}{
		{without("done", completedType), "done", "is still open: inventory is reserved, payment is charged, shipping is dispatched, notification is missing", false},
		{without("done", chargedType), "done", "is completed, but payment is missing; expected: charged", false},
		{without("done", placedType), "done", "inventory is shipped, payment is charged, shipping is dispatched, notification is completed, but there is no order", false},
		{without("declined", releasedType), "declined", "is cancelled, but inventory is reserved; expected: released or short or missing", false},
		{without("lost", refundedType), "lost", "is cancelled, but payment is charged; expected: refunded or declined or void or missing", false},
		{without("C1", refundedType), "C1", "is a credit note, but payment is missing; expected: refunded", false},
		{with("done", paymentevents.Charged{OrderID: "done", Amount: 1000}), "done", "payment.charged happened 2 times", true},
		{with("done", paymentevents.Charged{OrderID: "done", Amount: 1000}), "done", "20.00 was charged; expected: 10.00", false},
		{with("done", orderevents.Cancelled{OrderID: "done"}), "done", "order.completed and order.cancelled both happened", true},
		{with("declined", paymentevents.Refunded{OrderID: "declined", Amount: 1}), "declined", "0.01 was refunded, but only 0.00 charged", true},
		{with("lost", shippingevents.Dispatched{OrderID: "lost"}), "lost", "shipping.dispatched and shipping.undeliverable both happened", true},
		{with("short", inventoryevents.Reserved{OrderID: "short"}), "short", "inventory.reserved and inventory.short both happened", true},
		{with("ghost", shippingevents.Dispatched{OrderID: "ghost"}), "ghost", "inventory is missing, payment is missing, shipping is dispatched, notification is missing, but there is no order", false},
		{answer("done", done(moveGoods)), "done", "is completed, but notification is missing; expected: completed", false},
		{answer("done", done(moveGoods), was(tellCompleted, journal.Dead)), "done", "is completed, but notification is missing; expected: completed; dead: " + tellCompleted, false},
		{answer("short", was(tellCancelled, journal.Dropped)), "short", "is cancelled, but notification is missing; expected: cancelled", false},
	} {
		broken := stories()
		tt.breaks(broken)
		problem := Problem{OrderID: tt.order, What: tt.want}
		if r, _ := MustObserve(t, broken, time.Hour); r.OK || !slices.Contains(r.Wrong, problem) {
			t.Errorf("%+v\nis not in %+v", problem, r.Wrong)
		}
		if r, _ := MustObserve(t, broken, time.Minute); slices.Contains(r.Wrong, problem) != tt.always {
			t.Errorf("while it is under way: %+v", r.Wrong)
		}
	}
}

// What is not answered yet holds an order open, and no other.
func TestObservedOpen(t *testing.T) {
	t.Parallel()
	for _, o := range []journal.Outcome{journal.Waiting, journal.Retrying, journal.Blocked} {
		s := stories()
		s["done"] = s["done"][:3]
		s["done"][2].answers = []journal.Reaction{was("shipping/dispatch", o)}
		s["lost"] = s["lost"][:3]
		r, settled := MustObserve(t, s, time.Hour)
		if settled || len(r.Wrong) != 1 || r.Wrong[0].OrderID != "lost" || r.Open != 2 {
			t.Errorf("%s: settled %t, %+v", o, settled, r)
		}
	}
}

// An order that began before anything was observed is not judged, but for what contradicts itself.
func TestObservedPartly(t *testing.T) {
	t.Parallel()
	for _, before := range []int64{3, 1} {
		o := NewObserved(time.Unix(before, 0))
		add := func(id string, e event) {
			data, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			o.Add(&journal.Event{ID: id, Type: e.EventType(), Key: e.EventKey(), CausationID: "unknown", Time: time.Unix(2, 0), Data: data}, nil)
		}
		add("1", paymentevents.Refunded{OrderID: "old", Amount: 100})
		add("2", inventoryevents.Released{OrderID: "old"})
		r, settled := o.Report()
		if !r.OK || settled != (before == 3) || r.Orders != 0 || r.Refunded != 0 || (r.Partial == 1) != settled {
			t.Errorf("%+v, settled %t", r, settled)
		}
		add("3", inventoryevents.Released{OrderID: "old"})
		if r, _ := o.Report(); r.OK {
			t.Errorf("released twice: %+v", r)
		}
	}
}

// An event of the shop that cannot be read is wrong; those of others are none of its business.
func TestObservedUnreadable(t *testing.T) {
	t.Parallel()
	o := NewObserved(time.Unix(1, 0))
	o.Add(&journal.Event{ID: "x", Type: placedType, Key: "o1", Data: []byte("[]")}, nil)
	o.Add(&journal.Event{ID: "y", Type: "test.other", Key: "o2", Data: []byte("[]")}, nil)
	if r, _ := o.Report(); len(r.Wrong) != 2 || r.Wrong[0].OrderID != "o1" || r.Orders != 1 {
		t.Errorf("%+v", r)
	}
}
