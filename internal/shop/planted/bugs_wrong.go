package planted

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
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

// Bugs are all of them.
var Bugs = slices.Concat(again, races, wrongs, chances, aparts)

// What is forgotten, or is the wrong thing to do.
var wrongs = []Bug{
	{
		Name:     "refund-never-sent",
		What:     "a second attempt of a refund takes the first as done: what failed is in the books, and never sent",
		Swap:     Swap{"payment/refund-returned": refundAssumed},
		Scenario: returned,
		Wrong:    "books: the gateway has charged 2990 and refunded 0, the shop 2990 and 2990",
		Needs:    bustest.Books,
	},
	{
		Name:     "lost-emission",
		What:     "dispatch records the carrier's answer before it returns the event: after a crash in between it has nothing to do, and the event is lost",
		Swap:     Swap{"shipping/dispatch": dispatchRecordedFirst},
		Scenario: plain,
		Wrong:    "books: order-1 is still open",
		Needs:    bustest.Books,
	},
	{
		Name:     "refund-from-memory",
		What:     "payment remembers in a map what it has charged: a crash makes every refund one of 0.00",
		Swap:     Swap{"payment/charge": remember, "payment/refund-undeliverable": nothing},
		Scenario: scenario(place("undeliverable-1", 2, "MUG")),
		Wrong:    "payment/refund-undeliverable of shipping.undeliverable undeliverable-1 is a dead letter",
		Needs:    bustest.Crashes,
	},
	{
		Name:     "wrong-compensation",
		What:     "a declined order's goods are taken back as if they had been sent: stock that is not there",
		Swap:     Swap{"inventory/release-declined": restockDeclined},
		Scenario: scenario(place("declined-1", 2, "MUG")),
		Wrong:    "books: declined-1 is cancelled, but inventory has it as returned",
		Needs:    bustest.Books,
	},
	{
		Name:     "foreign-table",
		What:     "shipping looks into payment's table, and takes what it cannot read as paid",
		Swap:     Swap{"shipping/dispatch": dispatchPaid},
		Scenario: plain,
		Wrong:    "module shipping reached for payment_payments",
		Needs:    bustest.Fences,
	},
	{
		Name:     "cent-drift",
		What:     "the amount goes through a float: 17.40 is charged as 17.39",
		Swap:     Swap{"payment/charge": chargeFloat},
		Scenario: scenario(place("order-1", 1, "MUG")),
		Wrong:    "books: order-1 17.39 was charged; expected: 17.40",
		Needs:    bustest.Books,
	},
	{
		Name:     "endless-loop",
		What:     "inventory keeps no record of a shortage and order places again what was short: they play ball until the hops run out",
		Swap:     Swap{"inventory/reserve-stock": reserveForgetful, "order/cancel-short": placeAgain},
		Scenario: scenario(place("order-1", 11, "MUG")),
		Wrong:    "too many hops",
	},
	{
		Name:     "poison",
		What:     "an article that was never received is an error, not a shortage: its order is tried for ever",
		Swap:     Swap{"inventory/reserve-stock": reserveForEver},
		Scenario: scenario(place("order-1", 1, "UNKNOWN"), place("order-2", 1, "MUG")),
		Wrong:    "it does not end",
	},
}

// What comes out different when it is done again, because it comes from elsewhere than the event and the tables.
var chances = []Bug{
	{
		Name:     "clock",
		What:     "an event says what the clock says: another attempt tells another story",
		Swap:     Swap{"order/cancel-short": cancelShortSaying(func() string { return time.Now().String() })},
		Scenario: scenario(place("order-1", 11, "MUG")),
		Wrong:    "order/cancel-short, run again on the same state, emitted order.cancelled",
		Needs:    bustest.Again,
	},
	{
		Name:     "dice",
		What:     "chance chooses what the customer is told",
		Swap:     Swap{"order/cancel-short": cancelShortSaying(func() string { return []string{"sold out", "out of stock"}[rand.IntN(2)] })},
		Scenario: scenario(place("order-1", 11, "MUG")),
		Wrong:    "order/cancel-short, run again on the same state, emitted order.cancelled",
		Needs:    bustest.Again,
	},
	{
		Name:     "map-order",
		What:     "the articles that are short are told in the order of a map",
		Swap:     Swap{"inventory/reserve-stock": reserveUnsorted},
		Scenario: scenario(place("order-1", 11, "MUG", "CUP", "POT")),
		Wrong:    "inventory/reserve-stock, run again on the same state, emitted inventory.short",
		Needs:    bustest.Again,
	},
}

func refundAssumed(m *bus.Module, o Outside) {
	bus.On(m, "refund-returned", func(ctx context.Context, e orderevents.Returned) (bus.Events, error) {
		if bus.Delivery(ctx).Attempt > 1 { // planted: the first may have failed
			return refunded(paymentevents.Refunded{OrderID: e.OrderID, Amount: e.Refund, Reason: paymentevents.ReasonReturned}), nil
		}
		return refund(ctx, o.Gateway, e.OrderID, paymentevents.ReasonReturned)
	}).Emits(paymentevents.Refunded{}).External(parallel)
}

func dispatchRecordedFirst(m *bus.Module, o Outside) {
	bus.On(m, "dispatch", func(ctx context.Context, e paymentevents.Charged) (bus.Events, error) {
		step, err := beginDispatch(ctx, e.OrderID)
		if err != nil || step != shipping.AskCarrier {
			return stopped(step, e.OrderID), err
		}
		label, err := o.Carrier.Dispatch(ctx, shipping.Parcel{Key: bus.Delivery(ctx).ID, OrderID: e.OrderID})
		if err != nil {
			return nil, err
		}
		dispatched := shippingevents.Dispatched{OrderID: e.OrderID, Tracking: label.Tracking}
		err = bus.Commit(ctx, func(ctx context.Context) error { // planted: not in the commit that emits
			_, err := shipping.RecordDispatched(ctx, bus.Tx(ctx), dispatched)
			return err
		})
		return bus.Emit(dispatched), err
	}).Emits(shippingevents.Dispatched{}, shippingevents.Undeliverable{}).External(parallel)
}

// purse is what a process remembers of the charges that it made.
type purse struct {
	mu      sync.Mutex
	charged map[string]int64
}

// remember wires both reactions that share a purse, which a new process finds empty.
func remember(m *bus.Module, o Outside) {
	p := &purse{charged: map[string]int64{}}
	chargeInto(p, m, o)
	refundFrom(p, m, o)
}

// nothing wires nothing.
func nothing(*bus.Module, Outside) {}

func chargeInto(p *purse, m *bus.Module, o Outside) {
	bus.On(m, "charge", func(ctx context.Context, e inventoryevents.Reserved) (bus.Events, error) {
		step, err := beginCharge(ctx, e.OrderID)
		if err != nil || step != payment.AskGateway {
			return voided(step, e.OrderID), err
		}
		p.mu.Lock()
		p.charged[e.OrderID] = e.Total // planted
		p.mu.Unlock()
		return take(ctx, o.Gateway, payment.Charge{Key: bus.Delivery(ctx).ID, OrderID: e.OrderID, Amount: e.Total})
	}).Emits(paymentevents.Charged{}, paymentevents.Declined{}).External(parallel)
}

func refundFrom(p *purse, m *bus.Module, o Outside) {
	bus.On(m, "refund-undeliverable", func(ctx context.Context, e shippingevents.Undeliverable) (bus.Events, error) {
		p.mu.Lock()
		r := payment.Refund{Key: bus.Delivery(ctx).ID, OrderID: e.OrderID, Amount: p.charged[e.OrderID]} // planted
		p.mu.Unlock()
		receipt, err := r.Send(ctx, o.Gateway)
		if err != nil {
			return nil, err
		}
		return refunded(paymentevents.Refunded{OrderID: r.OrderID, Amount: r.Amount, Reference: receipt.Reference, Reason: paymentevents.ReasonUndeliverable}), nil
	}).Emits(paymentevents.Refunded{}).External(parallel)
}

func restockDeclined(m *bus.Module, _ Outside) {
	bus.On(m, "release-declined", func(ctx context.Context, e paymentevents.Declined) (bus.Events, error) {
		fresh, err := inventory.Restock(ctx, bus.Tx(ctx), orderevents.Returned{OrderID: e.OrderID}) // planted: Release
		if err != nil || !fresh {
			return nil, final(err)
		}
		return bus.Emit(inventoryevents.Released{OrderID: e.OrderID}), nil
	}).Emits(inventoryevents.Released{})
}

func dispatchPaid(m *bus.Module, o Outside) {
	bus.On(m, "dispatch", func(ctx context.Context, e paymentevents.Charged) (bus.Events, error) {
		status := payment.StatusCharged
		step := shipping.AlreadyDone
		err := bus.Commit(ctx, func(ctx context.Context) (err error) {
			// planted: the table is payment's; that it cannot be read is not looked at
			_ = bus.Tx(ctx).QueryRowContext(ctx, "SELECT status FROM payment_payments WHERE order_id = ?", e.OrderID).Scan(&status)
			step, err = shipping.Begin(ctx, bus.Tx(ctx), e.OrderID)
			return err
		})
		if err != nil || step != shipping.AskCarrier || status != payment.StatusCharged {
			return stopped(step, e.OrderID), err
		}
		return handOver(ctx, o.Carrier, shipping.Parcel{Key: bus.Delivery(ctx).ID, OrderID: e.OrderID})
	}).Emits(shippingevents.Dispatched{}, shippingevents.Undeliverable{}).External(parallel)
}

func chargeFloat(m *bus.Module, o Outside) {
	bus.On(m, "charge", func(ctx context.Context, e inventoryevents.Reserved) (bus.Events, error) {
		step, err := beginCharge(ctx, e.OrderID)
		if err != nil || step != payment.AskGateway {
			return voided(step, e.OrderID), err
		}
		euros := float64(e.Total) / 100
		amount := int64(euros * 100) // planted
		return take(ctx, o.Gateway, payment.Charge{Key: bus.Delivery(ctx).ID, OrderID: e.OrderID, Amount: amount})
	}).Emits(paymentevents.Charged{}, paymentevents.Declined{}).External(parallel)
}

func reserveForgetful(m *bus.Module, _ Outside) {
	bus.On(m, "reserve-stock", func(ctx context.Context, e orderevents.Placed) (bus.Events, error) {
		for _, l := range e.Lines {
			if s, err := inventory.Get(ctx, bus.Tx(ctx), l.SKU); err != nil || s.OnHand < l.Quantity {
				return bus.Emit(inventoryevents.Short{OrderID: e.OrderID, SKUs: []string{l.SKU}}), err // planted: no record of it
			}
		}
		_, fresh, err := inventory.Reserve(ctx, bus.Tx(ctx), e.OrderID, e.Lines)
		if err != nil || !fresh {
			return nil, final(err)
		}
		return bus.Emit(inventoryevents.Reserved{OrderID: e.OrderID, Total: e.Total}), nil
	}).Emits(inventoryevents.Reserved{}, inventoryevents.Short{})
}

func placeAgain(m *bus.Module, _ Outside) {
	bus.On(m, "cancel-short", func(ctx context.Context, e inventoryevents.Short) (bus.Events, error) {
		lines := []orderevents.Line{{SKU: e.SKUs[0], Quantity: 11, UnitPrice: 1250}}
		return bus.Emit(orderevents.Placed{OrderID: e.OrderID, Lines: lines}), nil // planted: there may be some now
	}).Emits(orderevents.Placed{})
}

func reserveForEver(m *bus.Module, _ Outside) {
	bus.On(m, "reserve-stock", func(ctx context.Context, e orderevents.Placed) (bus.Events, error) {
		for _, l := range e.Lines {
			if _, err := inventory.Get(ctx, bus.Tx(ctx), l.SKU); err != nil {
				return nil, fmt.Errorf("look up %s: %w", l.SKU, err) // planted: no retry helps
			}
		}
		_, fresh, err := inventory.Reserve(ctx, bus.Tx(ctx), e.OrderID, e.Lines)
		if err != nil || !fresh {
			return nil, final(err)
		}
		return bus.Emit(inventoryevents.Reserved{OrderID: e.OrderID, Total: e.Total}), nil
	}).Emits(inventoryevents.Reserved{}, inventoryevents.Short{}).Retry(bus.Retry{Attempts: 1 << 30}) // planted: for ever
}

func cancelShortSaying(reason func() string) Reaction {
	return func(m *bus.Module, _ Outside) {
		bus.On(m, "cancel-short", func(ctx context.Context, e inventoryevents.Short) (bus.Events, error) {
			return cancel(ctx, e.OrderID, reason()) // planted
		}).Emits(orderevents.Cancelled{})
	}
}

func reserveUnsorted(m *bus.Module, _ Outside) {
	bus.On(m, "reserve-stock", func(ctx context.Context, e orderevents.Placed) (bus.Events, error) {
		missing, fresh, err := inventory.Reserve(ctx, bus.Tx(ctx), e.OrderID, e.Lines)
		if err != nil || !fresh {
			return nil, final(err)
		}
		set := map[string]bool{}
		for _, sku := range missing {
			set[sku] = true
		}
		var skus []string
		for sku := range set { // planted
			skus = append(skus, sku)
		}
		if len(skus) > 0 {
			return bus.Emit(inventoryevents.Short{OrderID: e.OrderID, SKUs: skus}), nil
		}
		return bus.Emit(inventoryevents.Reserved{OrderID: e.OrderID, Total: e.Total}), nil
	}).Emits(inventoryevents.Reserved{}, inventoryevents.Short{})
}
