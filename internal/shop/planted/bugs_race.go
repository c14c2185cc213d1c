package planted

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/inventory/inventoryevents"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
	"github.com/troupebus/troupe/domain/shipping"
	"github.com/troupebus/troupe/domain/shipping/shippingevents"
)

// races are mistakes about order and waiting: between two modules, or between two orders.
var races = []Bug{
	{
		Name:     "cancel-and-dispatch",
		Mistake:  "stop treats a parcel as not sent although the carrier may have been called: the customer gets the parcel and a refund",
		Swap:     Swap{"shipping/stop": stopTooLate},
		Scenario: hesitant,
		Wrong:    "books: the carrier took 1 parcels of order-1, which is undeliverable",
	},
	{
		Name:     "shipped-before-returned",
		Mistake:  "ship expects to run before restock, but two subscriptions have no order between them",
		Swap:     Swap{"inventory/ship-and-restock": shipStrictly, "inventory/restock": restockAlone},
		Scenario: hesitant,
		Wrong:    "inventory/ship of order.completed order-1 is a dead letter",
		Needs:    bustest.Orders | bustest.Answers,
	},
	{
		Name:     "in-order-of-numbers",
		Mistake:  "inventory expects orders in the order of their numbers, but events of different keys have no order",
		Swap:     Swap{"inventory/reserve-stock": reserveInTurn},
		Scenario: scenario(place("order-1", 2, "MUG"), place("order-2", 1, "MUG")),
		Wrong:    "inventory/reserve-stock of order.placed order-2 is a dead letter",
		Needs:    bustest.Orders,
	},
	{
		Name:     "deadlock",
		Mistake:  "shipping waits for order.completed, and order waits for shipping.dispatched",
		Swap:     Swap{"shipping/dispatch": prepareParcel, "shipping/hand-over": dispatchCompleted},
		Scenario: plain,
		Wrong:    "books: order-1 is still open",
		Needs:    bustest.Books,
	},
	{
		Name:     "impatient-deadline",
		Mistake:  "charge gives up an order that has waited for 5 minutes, and emits no event: a busy day leaves orders open",
		Swap:     Swap{"payment/charge": chargeInTime},
		Scenario: plain,
		Wrong:    "books: order-1 is still open",
		Needs:    bustest.Pauses | bustest.Books,
	},
	{
		Name:     "hung-call",
		Mistake:  "dispatch makes one call at a time without a timeout: a call without an answer blocks every order",
		Swap:     Swap{"shipping/dispatch": dispatchForEver},
		Scenario: scenario(place("order-1", 2, "MUG"), place("order-2", 1, "MUG")),
		Wrong:    "it does not become quiet",
		Needs:    bustest.Troubles | bustest.Ends,
	},
}

func stopTooLate(m *bus.Module, _ Outside) {
	bus.On(m, "stop", func(ctx context.Context, e orderevents.CancelRequested) (bus.Events, error) {
		const undo = "UPDATE shipping_parcels SET status = 'undeliverable', reason = 'cancelled' WHERE order_id = ? AND status = 'dispatching'"
		res, err := bus.Tx(ctx).ExecContext(ctx, undo, e.OrderID) // planted: the carrier may have been called
		if err != nil {
			return nil, err
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return bus.Emit(shippingevents.Undeliverable{OrderID: e.OrderID, Reason: shippingevents.ReasonCancelled}), err
		}
		_, err = shipping.Stop(ctx, bus.Tx(ctx), e.OrderID)
		return nil, err
	}).Emits(shippingevents.Undeliverable{})
}

func shipStrictly(m *bus.Module, _ Outside) {
	bus.On(m, "ship", func(ctx context.Context, e orderevents.Completed) (bus.Events, error) {
		fresh, err := inventory.Ship(ctx, bus.Tx(ctx), e.OrderID)
		if err == nil && !fresh {
			err = bus.Dead(errors.New("the goods are not reserved")) // planted: the goods may be returned already
		}
		return nil, final(err)
	}).AnyOrder() // planted
}

func restockAlone(m *bus.Module, _ Outside) {
	bus.On(m, "restock", func(ctx context.Context, e orderevents.Returned) (bus.Events, error) {
		_, err := inventory.Ship(ctx, bus.Tx(ctx), e.OrderID)
		if err == nil {
			_, err = inventory.Restock(ctx, bus.Tx(ctx), e)
		}
		return nil, final(err)
	})
}

func reserveInTurn(m *bus.Module, _ Outside) {
	bus.On(m, "reserve-stock", func(ctx context.Context, e orderevents.Placed) (bus.Events, error) {
		seen := 0
		err := inventory.EachReservation(ctx, bus.Tx(ctx), func(inventory.Fact) error { seen++; return nil })
		switch {
		case err != nil:
			return nil, err
		case !strings.HasSuffix(e.OrderID, fmt.Sprint(seen+1)): // planted: the order before may come later
			return nil, bus.Dead(fmt.Errorf("%s comes after %d orders", e.OrderID, seen))
		}
		_, fresh, err := inventory.Reserve(ctx, bus.Tx(ctx), e.OrderID, e.Lines)
		if err != nil || !fresh {
			return nil, final(err)
		}
		return bus.Emit(inventoryevents.Reserved{OrderID: e.OrderID, Total: e.Total}), nil
	}).Emits(inventoryevents.Reserved{}, inventoryevents.Short{}).AnyOrder()
}

func prepareParcel(m *bus.Module, _ Outside) {
	bus.On(m, "dispatch", func(ctx context.Context, e paymentevents.Charged) (bus.Events, error) {
		_, err := shipping.Begin(ctx, bus.Tx(ctx), e.OrderID)
		return nil, err
	})
}

func dispatchCompleted(m *bus.Module, o Outside) {
	bus.On(m, "hand-over", func(ctx context.Context, e orderevents.Completed) (bus.Events, error) { // planted
		return handOver(ctx, o.Carrier, shipping.Parcel{Key: bus.Delivery(ctx).ID, OrderID: e.OrderID})
	}).Emits(shippingevents.Dispatched{}, shippingevents.Undeliverable{}).External(parallel)
}

func chargeInTime(m *bus.Module, o Outside) {
	bus.On(m, "charge", func(ctx context.Context, e inventoryevents.Reserved) (bus.Events, error) {
		if time.Since(bus.Delivery(ctx).Time) > 5*time.Minute { // planted: the clock decides, and no event is emitted
			return nil, nil
		}
		step, err := beginCharge(ctx, e.OrderID)
		if err != nil || step != payment.AskGateway {
			return voided(step, e.OrderID), err
		}
		return take(ctx, o.Gateway, payment.Charge{Key: bus.Delivery(ctx).ID, OrderID: e.OrderID, Amount: e.Total})
	}).Emits(paymentevents.Charged{}, paymentevents.Declined{}).External(parallel)
}

func dispatchForEver(m *bus.Module, o Outside) {
	bus.On(m, "dispatch", func(ctx context.Context, e paymentevents.Charged) (bus.Events, error) {
		step, err := beginDispatch(ctx, e.OrderID)
		if err != nil || step != shipping.AskCarrier {
			return stopped(step, e.OrderID), err
		}
		return handOver(ctx, o.Carrier, shipping.Parcel{Key: bus.Delivery(ctx).ID, OrderID: e.OrderID})
	}).Emits(shippingevents.Dispatched{}, shippingevents.Undeliverable{}).
		External(1).Timeout(10 * 365 * 24 * time.Hour) // planted: both
}
