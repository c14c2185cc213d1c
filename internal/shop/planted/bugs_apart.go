package planted

import (
	"context"
	"errors"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
	"github.com/troupebus/troupe/domain/shipping"
	"github.com/troupebus/troupe/domain/shipping/shippingevents"
)

// distributed bugs do not show while all modules share a journal, because a journal has all events in one order.
var distributed = []Bug{
	{
		Name:     "looked-up-in-the-log",
		Mistake:  "dispatch looks for order.placed in its journal, but events of another topic may arrive later",
		Swap:     Swap{"shipping/note": noteOrder, "shipping/dispatch": dispatchLogged},
		Scenario: plain,
		Apart:    true,
		Wrong:    "shipping/dispatch of payment.charged order-1 is a dead letter",
		Needs:    bustest.Orders | bustest.Answers,
	},
	{
		Name:     "order-of-two-modules",
		Mistake:  "dispatch handles order.placed and payment.charged in one handler, but a split loses the order of two modules",
		Swap:     Swap{"shipping/dispatch": dispatchInTurn},
		Scenario: plain,
		Apart:    true,
		Wrong:    "shipping/dispatch of payment.charged order-1 is a dead letter",
		Needs:    bustest.Orders | bustest.Answers,
	},
}

// noteOrder makes shipping take in the orders, so that they are in the journal of shipping.
func noteOrder(m *bus.Module, _ Outside) {
	bus.On(m, "note", func(context.Context, orderevents.Placed) (bus.Events, error) { return nil, nil }).AnyOrder()
}

func dispatchLogged(m *bus.Module, o Outside) {
	bus.On(m, "dispatch", func(ctx context.Context, e paymentevents.Charged) (bus.Events, error) {
		var ordered bool
		err := m.View(ctx, func(tx bus.SQL) error {
			const find = "SELECT count(*) > 0 FROM events WHERE type = 'order.placed' AND key = ?"
			return tx.QueryRowContext(ctx, find, e.OrderID).Scan(&ordered)
		})
		if err == nil && !ordered {
			err = bus.Dead(errors.New("no order was placed")) // planted: order.placed may not have arrived
		}
		if err != nil {
			return nil, err
		}
		step, err := beginDispatch(ctx, e.OrderID)
		if err != nil || step != shipping.AskCarrier {
			return stopped(step, e.OrderID), err
		}
		return handOver(ctx, o.Carrier, shipping.Parcel{Key: bus.Delivery(ctx).ID, OrderID: e.OrderID})
	}).Emits(shippingevents.Dispatched{}, shippingevents.Undeliverable{}).External(parallel)
}

func dispatchInTurn(m *bus.Module, o Outside) {
	bus.OnEach(m, "dispatch",
		bus.Of(func(ctx context.Context, e orderevents.Placed) (bus.Events, error) {
			_, err := beginDispatch(ctx, e.OrderID)
			return nil, err
		}),
		bus.Of(func(ctx context.Context, e paymentevents.Charged) (bus.Events, error) {
			begun := false
			err := bus.Commit(ctx, func(ctx context.Context) error {
				return shipping.Each(ctx, bus.Tx(ctx), func(f shipping.Fact) error {
					begun = begun || f.OrderID == e.OrderID
					return nil
				})
			})
			if err == nil && !begun {
				err = bus.Dead(errors.New("no order was placed"))
			}
			if err != nil {
				return nil, err
			}
			return handOver(ctx, o.Carrier, shipping.Parcel{Key: bus.Delivery(ctx).ID, OrderID: e.OrderID})
		}),
	).Emits(shippingevents.Dispatched{}, shippingevents.Undeliverable{}).External(parallel).AnyOrder() // planted
}
