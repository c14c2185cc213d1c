package planted

import (
	"context"
	"database/sql"
	"errors"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
	"github.com/troupebus/troupe/domain/shipping"
	"github.com/troupebus/troupe/domain/shipping/shippingevents"
)

// What is right as long as all modules share a journal, in which the events of all of them have one order.
var aparts = []Bug{
	{
		Name:     "looked-up-in-the-log",
		What:     "dispatch looks into the journal for the order that was paid: of two topics, the one with the order may come later",
		Swap:     Swap{"shipping/note": noteOrder, "shipping/dispatch": dispatchLogged},
		Scenario: plain,
		Apart:    true,
		Wrong:    "shipping/dispatch of payment.charged order-1 is a dead letter",
		Needs:    bustest.Orders | bustest.Answers,
	},
}

// noteOrder has the orders taken into shipping's journal, wherever that is.
func noteOrder(m *bus.Module, _ Outside) {
	bus.On(m, "note", func(context.Context, orderevents.Placed) (bus.Events, error) { return nil, nil })
}

func dispatchLogged(m *bus.Module, o Outside) {
	bus.On(m, "dispatch", func(ctx context.Context, e paymentevents.Charged) (bus.Events, error) {
		var ordered bool
		err := m.View(ctx, func(tx *sql.Tx) error {
			const find = "SELECT count(*) > 0 FROM events WHERE type = 'order.placed' AND key = ?"
			return tx.QueryRowContext(ctx, find, e.OrderID).Scan(&ordered)
		})
		if err == nil && !ordered {
			err = bus.Dead(errors.New("nobody has ordered it")) // planted: what led to this event is in the log of others
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
