package planted

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
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

// repeats are mistakes about repeated work: a second delivery, a call without an answer, a crash.
var repeats = []Bug{
	{
		Name:     "restocked-twice",
		Mistake:  "restock checks in one transaction and restocks in another: two deliveries at once both restock",
		Swap:     Swap{"inventory/ship-and-restock": shipStrictly, "inventory/restock": restockCheckThenAct},
		Scenario: returned,
		Wrong:    "books: MUG 4 returned in stock, but the orders add up to 2",
		Needs:    bustest.Twice | bustest.Books,
	},
	{
		Name:     "charged-without-intent",
		Mistake:  "charge calls the gateway without recording the intent first: a cancel before the second attempt hides the first charge",
		Swap:     Swap{"payment/charge": chargeWithoutIntent},
		Scenario: hesitant,
		Wrong:    "books: the gateway has charged 2990 and refunded 0",
	},
	{
		Name:     "charged-by-attempt",
		Mistake:  "a failed call is repeated with a new key: after a lost answer the customer pays twice",
		Gateway:  func(g payment.Gateway) payment.Gateway { return impatient{g} },
		Scenario: plain,
		Wrong:    "books: the gateway has charged 5980",
	},
	{
		Name:     "parcel-by-attempt",
		Mistake:  "the parcel's key contains the attempt: after a lost answer the carrier takes a second parcel",
		Swap:     Swap{"shipping/dispatch": dispatchByAttempt},
		Scenario: plain,
		Wrong:    "called carrier.dispatch again with another idempotency key",
	},
	{
		Name:     "random-key",
		Mistake:  "the key of the mail is random: an attempt after a crash sends another mail",
		Swap:     Swap{"notification/tell-completed": mailRandomKey},
		Scenario: plain,
		Wrong:    "called mail.send again with another idempotency key",
		Needs:    bustest.Keys,
	},
	{
		Name:     "placed-twice",
		Mistake:  "place chooses the order's number: a client that repeats the request after a crash gets two orders",
		Place:    placeNumbered,
		Scenario: scenario(place("order-1", 2, "MUG"), sold(2)),
		Wrong:    "4 mugs have left, 2 were ordered",
		Needs:    bustest.Crashes,
	},
	{
		Name:     "told-too-early",
		Mistake:  "notification sends the notice when the cancel is requested: after a late cancel the customer gets two notices",
		Swap:     Swap{"notification/tell-requested": notifyRequested},
		Scenario: regretted,
		Wrong:    "a notice of another end was sent before",
	},
}

func restockCheckThenAct(m *bus.Module, _ Outside) {
	bus.On(m, "restock", func(ctx context.Context, e orderevents.Returned) (bus.Events, error) {
		var state inventory.State
		err := bus.Commit(ctx, func(ctx context.Context) error {
			return bus.Tx(ctx).QueryRowContext(ctx, "SELECT state FROM inventory_reservations WHERE order_id = ?", e.OrderID).Scan(&state)
		})
		if err != nil || state == inventory.StateReturned {
			return nil, err
		}
		return nil, bus.Commit(ctx, func(ctx context.Context) error { // planted: a second transaction
			for _, statement := range []string{
				"UPDATE inventory_reservations SET state = 'returned' WHERE order_id = ?",
				`UPDATE inventory_stock SET on_hand = on_hand + l.quantity, returned = returned + l.quantity
				FROM inventory_lines l WHERE l.order_id = ? AND inventory_stock.sku = l.sku`,
			} {
				if _, err := bus.Tx(ctx).ExecContext(ctx, statement, e.OrderID); err != nil {
					return err
				}
			}
			return nil
		})
	}).External(parallel)
}

func chargeWithoutIntent(m *bus.Module, o Outside) {
	bus.On(m, "charge", func(ctx context.Context, e inventoryevents.Reserved) (bus.Events, error) {
		var status payment.Status
		err := bus.Commit(ctx, func(ctx context.Context) error { // planted: no intent is written
			return payment.Each(ctx, bus.Tx(ctx), func(f payment.Fact) error {
				if f.OrderID == e.OrderID {
					status = f.Status
				}
				return nil
			})
		})
		switch {
		case err != nil:
			return nil, err
		case status == payment.StatusVoid:
			return declined(e.OrderID, paymentevents.ReasonCancelled), nil
		}
		return take(ctx, o.Gateway, payment.Charge{Key: bus.Delivery(ctx).ID, OrderID: e.OrderID, Amount: e.Total})
	}).Emits(paymentevents.Charged{}, paymentevents.Declined{}).External(parallel)
}

// impatient is a client of the gateway that retries by itself.
type impatient struct{ payment.Gateway }

// Charge implements payment.Gateway.
func (g impatient) Charge(ctx context.Context, c payment.Charge) (payment.Receipt, error) {
	r, err := g.Gateway.Charge(ctx, c)
	var refusal *payment.DeclinedError
	if err == nil || errors.As(err, &refusal) {
		return r, err
	}
	c.Key += "/again" // planted: a new charge
	return g.Gateway.Charge(ctx, c)
}

func dispatchByAttempt(m *bus.Module, o Outside) {
	bus.On(m, "dispatch", func(ctx context.Context, e paymentevents.Charged) (bus.Events, error) {
		step, err := beginDispatch(ctx, e.OrderID)
		if err != nil || step != shipping.AskCarrier {
			return stopped(step, e.OrderID), err
		}
		key := fmt.Sprintf("%s, attempt %d", e.OrderID, bus.Delivery(ctx).Attempt) // planted
		return handOver(ctx, o.Carrier, shipping.Parcel{Key: key, OrderID: e.OrderID})
	}).Emits(shippingevents.Dispatched{}, shippingevents.Undeliverable{}).External(parallel)
}

func mailRandomKey(m *bus.Module, o Outside) {
	bus.On(m, "tell-completed", func(ctx context.Context, e orderevents.Completed) (bus.Events, error) {
		n := notification.OfCompleted(e)
		key := fmt.Sprintf("%s/%d", e.OrderID, rand.Uint64()) //troupe:allow clock planted
		_, err := bustest.Ask(ctx, o.Mail, bustest.Request{Op: "send", Key: key, Body: n}, func() (string, error) { return "sent", nil })
		if err != nil {
			return nil, err
		}
		return bus.Emit().Also(func(ctx context.Context) error {
			return once(notification.Notify(ctx, bus.Tx(ctx), n))
		}), nil
	}).External(parallel)
}

func placeNumbered(b *bus.Bus, right Orders) PlaceFunc {
	return func(ctx context.Context, n order.New, _ string) (string, bool, error) {
		taken := 0
		err := b.View(ctx, func(tx bus.SQL) error {
			return order.Each(ctx, tx, func(order.Fact) error { taken++; return nil })
		})
		if err != nil {
			return "", false, err
		}
		n.ID = fmt.Sprintf("%s-%d", n.ID, taken+1) // planted: a new number, also for a repeated request
		return right.Place(ctx, n, "")
	}
}

func notifyRequested(m *bus.Module, _ Outside) {
	bus.On(m, "tell-requested", func(ctx context.Context, e orderevents.CancelRequested) (bus.Events, error) {
		// planted: the request may come too late
		return notify(ctx, notification.OfCancelled(orderevents.Cancelled{OrderID: e.OrderID, CustomerID: "c-" + e.OrderID, Reason: e.Reason}))
	}).AnyOrder()
}
