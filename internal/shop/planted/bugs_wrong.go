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

// Bugs are all planted bugs.
var Bugs = slices.Concat(repeats, races, mistakes, nondeterministic, distributed)

// mistakes are forgotten steps and wrong steps.
var mistakes = []Bug{
	{
		Name:     "refund-never-sent",
		Mistake:  "a second attempt of a refund takes the first for done: a failed refund is in the books, but was never sent",
		Swap:     Swap{"payment/refund-returned": refundAssumed},
		Scenario: returned,
		Wrong:    "books: the gateway has charged 2990 and refunded 0, the shop 2990 and 2990",
		Needs:    bustest.Books,
	},
	{
		Name:     "lost-emission",
		Mistake:  "dispatch commits the carrier's answer before it returns the event: a crash in between loses the event",
		Swap:     Swap{"shipping/dispatch": dispatchRecordedFirst},
		Scenario: plain,
		Wrong:    "books: order-1 is still open",
		Needs:    bustest.Books,
	},
	{
		Name:     "refund-from-memory",
		Mistake:  "payment keeps the charges in a map: after a crash every refund is 0.00",
		Swap:     Swap{"payment/charge": remember, "payment/refund-undeliverable": noReaction},
		Scenario: scenario(place("undeliverable-1", 2, "MUG")),
		Wrong:    "payment/refund-undeliverable of shipping.undeliverable undeliverable-1 is a dead letter",
		Needs:    bustest.Crashes,
	},
	{
		Name:     "wrong-compensation",
		Mistake:  "the goods of a declined order are restocked as if they had been shipped: the counters are wrong",
		Swap:     Swap{"inventory/release-declined": restockDeclined},
		Scenario: scenario(place("declined-1", 2, "MUG")),
		Wrong:    "books: declined-1 is cancelled, but inventory is returned",
		Needs:    bustest.Books,
	},
	{
		Name:     "foreign-table",
		Mistake:  "shipping reads payment's table, and takes a failed read for paid",
		Swap:     Swap{"shipping/dispatch": dispatchPaid},
		Scenario: plain,
		Wrong:    "module shipping reached for payment_payments",
		Needs:    bustest.Fences,
	},
	{
		Name:     "cent-drift",
		Mistake:  "the amount is converted to a float and back: 17.40 is charged as 17.39",
		Swap:     Swap{"payment/charge": chargeFloat},
		Scenario: scenario(place("order-1", 1, "MUG")),
		Wrong:    "books: order-1 17.39 was charged; expected: 17.40",
		Needs:    bustest.Books,
	},
	{
		Name:     "endless-loop",
		Mistake:  "inventory keeps no record of a shortage, and order places the same order again: the two repeat until the hops run out",
		Swap:     Swap{"inventory/reserve-stock": reserveForgetful, "order/cancel-short": placeAgain},
		Scenario: scenario(place("order-1", 11, "MUG")),
		Wrong:    "too many hops",
	},
	{
		Name:     "poison",
		Mistake:  "an article that was never received is an error and not a shortage: the order is retried for ever",
		Swap:     Swap{"inventory/reserve-stock": reserveForEver},
		Scenario: scenario(place("order-1", 1, "UNKNOWN"), place("order-2", 1, "MUG")),
		Wrong:    "it does not end",
	},
}

// nondeterministic reactions give another result when they run again: the result depends on more than the event and
// the tables.
var nondeterministic = []Bug{
	{
		Name:     "clock",
		Mistake:  "an event contains the time of the clock: another attempt emits another event",
		Swap:     Swap{"order/cancel-short": cancelShortSaying(func() string { return time.Now().String() })},
		Scenario: scenario(place("order-1", 11, "MUG")),
		Wrong:    "order/cancel-short, run again on the same state, emitted order.cancelled",
		Needs:    bustest.Again,
	},
	{
		Name:     "dice",
		Mistake:  "the reason for the customer is random",
		Swap:     Swap{"order/cancel-short": cancelShortSaying(func() string { return []string{"sold out", "out of stock"}[rand.IntN(2)] })},
		Scenario: scenario(place("order-1", 11, "MUG")),
		Wrong:    "order/cancel-short, run again on the same state, emitted order.cancelled",
		Needs:    bustest.Again,
	},
	{
		Name:     "map-order",
		Mistake:  "the missing articles are in the order of a map",
		Swap:     Swap{"inventory/reserve-stock": reserveUnsorted},
		Scenario: scenario(place("order-1", 11, "MUG", "CUP", "POT")),
		Wrong:    "inventory/reserve-stock, run again on the same state, emitted inventory.short",
		Needs:    bustest.Again,
	},
}

func refundAssumed(m *bus.Module, o Outside) {
	bus.On(m, "refund-returned", func(ctx context.Context, e orderevents.Returned) (bus.Events, error) {
		if bus.Delivery(ctx).Attempt > 1 { // planted: the first attempt may have failed
			return refunded(paymentevents.Refunded{
				OrderID: e.OrderID, Amount: e.Refund, Reason: paymentevents.ReasonReturned,
			}), nil
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
		err = bus.Commit(ctx, func(ctx context.Context) error { // planted: not in the commit of the event
			_, err := shipping.RecordDispatched(ctx, bus.Tx(ctx), dispatched)
			return err
		})
		return bus.Emit(dispatched), err
	}).Emits(shippingevents.Dispatched{}, shippingevents.Undeliverable{}).External(parallel)
}

// purse has the charges of a process in memory.
type purse struct {
	mu      sync.Mutex
	charged map[string]int64
}

// remember wires the two reactions that share a purse. In a new process the purse is empty.
func remember(m *bus.Module, o Outside) {
	p := &purse{charged: map[string]int64{}}
	chargeInto(p, m, o)
	refundFrom(p, m, o)
}

// noReaction wires no reaction.
func noReaction(*bus.Module, Outside) {}

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
		return refunded(paymentevents.Refunded{
			OrderID: r.OrderID, Amount: r.Amount, Reference: receipt.Reference, Reason: paymentevents.ReasonUndeliverable,
		}), nil
	}).Emits(paymentevents.Refunded{}).External(parallel)
}

func restockDeclined(m *bus.Module, _ Outside) {
	bus.On(m, "release-declined", func(ctx context.Context, e paymentevents.Declined) (bus.Events, error) {
		_, err := inventory.Ship(ctx, bus.Tx(ctx), e.OrderID) // planted: Release
		if err != nil {
			return nil, final(err)
		}
		fresh, err := inventory.Restock(ctx, bus.Tx(ctx), orderevents.Returned{OrderID: e.OrderID})
		if err != nil || !fresh {
			return nil, final(err)
		}
		return bus.Emit(inventoryevents.Released{OrderID: e.OrderID}), nil
	}).Emits(inventoryevents.Released{}).AnyOrder()
}

func dispatchPaid(m *bus.Module, o Outside) {
	bus.On(m, "dispatch", func(ctx context.Context, e paymentevents.Charged) (bus.Events, error) {
		status := payment.StatusCharged
		step := shipping.AlreadyDone
		err := bus.Commit(ctx, func(ctx context.Context) (err error) {
			// planted: the table belongs to payment, and a failed read is ignored
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
				return bus.Emit(inventoryevents.Short{OrderID: e.OrderID, SKUs: []string{l.SKU}}), err // planted: no record
			}
		}
		_, fresh, err := inventory.Reserve(ctx, bus.Tx(ctx), e.OrderID, e.Lines)
		if err != nil || !fresh {
			return nil, final(err)
		}
		return bus.Emit(inventoryevents.Reserved{OrderID: e.OrderID, Total: e.Total}), nil
	}).Emits(inventoryevents.Reserved{}, inventoryevents.Short{}).AnyOrder()
}

func placeAgain(m *bus.Module, _ Outside) {
	bus.On(m, "cancel-short", func(ctx context.Context, e inventoryevents.Short) (bus.Events, error) {
		lines := []orderevents.Line{{SKU: e.SKUs[0], Quantity: 11, UnitPrice: 1250}}
		return bus.Emit(orderevents.Placed{OrderID: e.OrderID, Lines: lines}), nil // planted: the stock may suffice now
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
	}).Emits(inventoryevents.Reserved{}, inventoryevents.Short{}).AnyOrder().
		Retry(bus.Retry{Attempts: 1 << 30}) // planted: for ever
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
	}).Emits(inventoryevents.Reserved{}, inventoryevents.Short{}).AnyOrder()
}
