package books

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"

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

type runFunc func(context.Context, *sql.Tx, event) ([]event, error)

// reaction is one handler. One that calls outside has begin, which returns the call to make, or nil when there is
// nothing to do; run then records the answer.
type reaction struct {
	name, module, on string
	or               string // another type, in one order with the first
	when             func(event) bool
	begin            func(context.Context, *sql.Tx, *delivery) (func() (event, error), error)
	blind            bool // it begins without looking at what is recorded
	run              runFunc
}

// on makes a reaction to events of type E.
func on[E event](module, name string, fn func(context.Context, *sql.Tx, E) ([]event, error)) reaction {
	var zero E
	return reaction{name: name, module: module, on: zero.EventType(), run: func(ctx context.Context, tx *sql.Tx, e event) ([]event, error) {
		return fn(ctx, tx, e.(E))
	}}
}

// reactions is the whole choreography.
func reactions(o *outside) []reaction {
	return append(payments(o), append(parcels(o), append(orders(), append(goods(), notices()...)...)...)...)
}

// if1 is what a step of one event emits.
func if1(e event, fresh bool, err error) ([]event, error) {
	if err != nil || !fresh {
		return nil, err
	}
	return []event{e}, nil
}

func orders() []reaction {
	cancel := func(ctx context.Context, tx *sql.Tx, id, reason string) ([]event, error) {
		e, fresh, err := order.Cancel(ctx, tx, id, reason)
		return if1(e, fresh, err)
	}
	cancelRefunded := on("order", "cancel-refunded", func(ctx context.Context, tx *sql.Tx, e paymentevents.Refunded) ([]event, error) {
		return cancel(ctx, tx, e.OrderID, e.Reason)
	})
	cancelRefunded.when = undeliverable
	return []reaction{
		on("order", "complete", func(ctx context.Context, tx *sql.Tx, e shippingevents.Dispatched) ([]event, error) {
			c, fresh, err := order.Complete(ctx, tx, e.OrderID)
			if err != nil || !fresh || c.Returned == nil {
				return if1(c.Completed, fresh, err)
			}
			return []event{c.Completed, *c.Returned}, nil
		}),
		on("order", "cancel-short", func(ctx context.Context, tx *sql.Tx, e inventoryevents.Short) ([]event, error) {
			return cancel(ctx, tx, e.OrderID, "out of stock")
		}),
		on("order", "cancel-declined", func(ctx context.Context, tx *sql.Tx, e paymentevents.Declined) ([]event, error) {
			return cancel(ctx, tx, e.OrderID, e.Reason)
		}),
		cancelRefunded,
	}
}

func undeliverable(e event) bool {
	return e.(paymentevents.Refunded).Reason == paymentevents.ReasonUndeliverable
}

func goods() []reaction {
	release := func(ctx context.Context, tx *sql.Tx, id string) ([]event, error) {
		fresh, err := inventory.Release(ctx, tx, id)
		return if1(inventoryevents.Released{OrderID: id}, fresh, err)
	}
	releaseRefunded := on("inventory", "release-refunded", func(ctx context.Context, tx *sql.Tx, e paymentevents.Refunded) ([]event, error) {
		return release(ctx, tx, e.OrderID)
	})
	releaseRefunded.when = undeliverable
	return []reaction{
		on("inventory", "reserve", func(ctx context.Context, tx *sql.Tx, e orderevents.Placed) ([]event, error) {
			missing, fresh, err := inventory.Reserve(ctx, tx, e.OrderID, e.Lines)
			if len(missing) > 0 {
				return if1(inventoryevents.Short{OrderID: e.OrderID, SKUs: missing}, fresh, err)
			}
			return if1(inventoryevents.Reserved{OrderID: e.OrderID, Total: e.Total}, fresh, err)
		}),
		on("inventory", "release-declined", func(ctx context.Context, tx *sql.Tx, e paymentevents.Declined) ([]event, error) {
			return release(ctx, tx, e.OrderID)
		}),
		releaseRefunded,
		{name: "ship-and-restock", module: "inventory", on: "order.completed", or: "order.returned", run: shipAndRestock},
	}
}

func shipAndRestock(ctx context.Context, tx *sql.Tx, e event) (_ []event, err error) {
	switch e := e.(type) {
	case orderevents.Completed:
		_, err = inventory.Ship(ctx, tx, e.OrderID)
	case orderevents.Returned:
		_, err = inventory.Restock(ctx, tx, e)
	}
	return nil, err
}

func notices() []reaction {
	return []reaction{
		on("notification", "tell-completed", func(ctx context.Context, tx *sql.Tx, e orderevents.Completed) ([]event, error) {
			_, err := notification.Notify(ctx, tx, notification.OfCompleted(e))
			return nil, err
		}),
		on("notification", "tell-cancelled", func(ctx context.Context, tx *sql.Tx, e orderevents.Cancelled) ([]event, error) {
			_, err := notification.Notify(ctx, tx, notification.OfCancelled(e))
			return nil, err
		}),
	}
}

func payments(o *outside) []reaction {
	return []reaction{
		{name: "charge", module: "payment", on: "inventory.reserved", begin: o.beginCharge, run: recordPayment},
		{name: "refund-undeliverable", module: "payment", on: "shipping.undeliverable", begin: o.beginRefund(paymentevents.ReasonUndeliverable), run: recordPayment},
		{name: "refund-returned", module: "payment", on: "order.returned", begin: o.beginRefund(paymentevents.ReasonReturned), run: recordPayment,
			when: func(e event) bool { return !e.(orderevents.Returned).Credit }},
		{name: "pay-credit", module: "payment", on: "order.returned", begin: o.beginCredit, blind: true, run: recordCredit,
			when: func(e event) bool { return e.(orderevents.Returned).Credit }},
		on("payment", "void", func(ctx context.Context, tx *sql.Tx, e orderevents.CancelRequested) ([]event, error) {
			_, err := payment.Void(ctx, tx, e.OrderID)
			return nil, err
		}),
	}
}

func recordPayment(ctx context.Context, tx *sql.Tx, e event) (out []event, err error) {
	var fresh bool
	switch e := e.(type) {
	case paymentevents.Charged:
		fresh, err = payment.RecordCharge(ctx, tx, e)
	case paymentevents.Declined:
		fresh, err = payment.RecordDecline(ctx, tx, e)
	case paymentevents.Refunded:
		fresh, err = payment.RecordRefund(ctx, tx, e)
	}
	return if1(e, fresh, err)
}

func recordCredit(ctx context.Context, tx *sql.Tx, e event) ([]event, error) {
	fresh, err := payment.RecordCredit(ctx, tx, e.(paymentevents.Refunded))
	return if1(e, fresh, err)
}

func parcels(o *outside) []reaction {
	return []reaction{
		{name: "dispatch", module: "shipping", on: "payment.charged", begin: o.beginDispatch, run: recordParcel},
		on("shipping", "stop", func(ctx context.Context, tx *sql.Tx, e orderevents.CancelRequested) ([]event, error) {
			_, err := shipping.Stop(ctx, tx, e.OrderID)
			return nil, err
		}),
	}
}

func recordParcel(ctx context.Context, tx *sql.Tx, e event) (out []event, err error) {
	var fresh bool
	switch e := e.(type) {
	case shippingevents.Dispatched:
		fresh, err = shipping.RecordDispatched(ctx, tx, e)
	case shippingevents.Undeliverable:
		fresh, err = shipping.RecordUndeliverable(ctx, tx, e)
	}
	return if1(e, fresh, err)
}

// outside is the gateway and the carrier. They do what a key asks for once, and then repeat the answer; they are out of
// reach at times, and their answers get lost.
type outside struct {
	r       *rand.Rand
	answers map[string]event
	money   map[string]int64 // by order: charged less refunded
	parcels map[string]int   // by order
}

var errNoAnswer = errors.New("no answer")

func newOutside(r *rand.Rand) *outside {
	return &outside{r: r, answers: map[string]event{}, money: map[string]int64{}, parcels: map[string]int{}}
}

// do has decide, which says what is done, run once for a key.
func (o *outside) do(key string, decide func() event) (event, error) {
	if o.r.IntN(8) == 0 {
		return nil, errNoAnswer
	}
	if o.answers[key] == nil {
		o.answers[key] = decide()
	}
	if o.r.IntN(8) == 0 {
		return nil, errNoAnswer
	}
	return o.answers[key], nil
}

func (o *outside) beginCharge(ctx context.Context, tx *sql.Tx, d *delivery) (func() (event, error), error) {
	e := d.event.(inventoryevents.Reserved)
	step, err := payment.BeginCharge(ctx, tx, e.OrderID)
	switch step {
	case payment.AskGateway:
		return func() (event, error) {
			return o.do(d.id, func() event {
				if o.r.IntN(6) == 0 {
					return paymentevents.Declined{OrderID: e.OrderID, Reason: "no funds"}
				}
				o.money[e.OrderID] += e.Total
				return paymentevents.Charged{OrderID: e.OrderID, Amount: e.Total, Reference: d.id}
			})
		}, err
	case payment.AnswerCancelled:
		return func() (event, error) {
			return paymentevents.Declined{OrderID: e.OrderID, Reason: paymentevents.ReasonCancelled}, nil
		}, err
	}
	return nil, err
}

func (o *outside) beginRefund(reason string) func(context.Context, *sql.Tx, *delivery) (func() (event, error), error) {
	return func(ctx context.Context, tx *sql.Tx, d *delivery) (func() (event, error), error) {
		amount, due, err := payment.BeginRefund(ctx, tx, d.event.EventKey())
		if err != nil || !due {
			return nil, err
		}
		return o.refund(d, amount, reason), nil
	}
}

func (o *outside) beginCredit(_ context.Context, _ *sql.Tx, d *delivery) (func() (event, error), error) {
	return o.refund(d, d.event.(orderevents.Returned).Refund, paymentevents.ReasonReturned), nil
}

func (o *outside) refund(d *delivery, amount int64, reason string) func() (event, error) {
	id := d.event.EventKey()
	return func() (event, error) {
		return o.do(d.id, func() event {
			o.money[id] -= amount
			return paymentevents.Refunded{OrderID: id, Amount: amount, Reference: d.id, Reason: reason}
		})
	}
}

func (o *outside) beginDispatch(ctx context.Context, tx *sql.Tx, d *delivery) (func() (event, error), error) {
	id := d.event.EventKey()
	step, err := shipping.Begin(ctx, tx, id)
	switch step {
	case shipping.AskCarrier:
		return func() (event, error) {
			return o.do(d.id, func() event {
				if o.r.IntN(6) == 0 {
					return shippingevents.Undeliverable{OrderID: id, Reason: "no such address"}
				}
				o.parcels[id]++
				return shippingevents.Dispatched{OrderID: id, Tracking: d.id}
			})
		}, err
	case shipping.AnswerCancelled:
		return func() (event, error) {
			return shippingevents.Undeliverable{OrderID: id, Reason: shippingevents.ReasonCancelled}, nil
		}, err
	}
	return nil, err
}
