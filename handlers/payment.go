package handlers

import (
	"context"
	"errors"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/domain/inventory/inventoryevents"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
	"github.com/troupebus/troupe/domain/shipping/shippingevents"
)

// Payment wires the payment module, which sends charges and refunds to gateway, with at most parallel calls at a
// time, and records the answers.
func Payment(b *bus.Bus, gateway payment.Gateway, parallel int, swap ...Reactions) {
	m := b.Module("payment").Migrations(payment.Schema)

	Reactions{
		"charge": func(m *bus.Module, name string) {
			bus.On(m, name, func(ctx context.Context, e inventoryevents.Reserved) (bus.Events, error) {
				return charge(ctx, gateway, e)
			}).Emits(paymentevents.Charged{}, paymentevents.Declined{}).External(parallel)
		},
		"void": func(m *bus.Module, name string) {
			bus.On(m, name, func(ctx context.Context, e orderevents.CancelRequested) (bus.Events, error) {
				_, err := payment.Void(ctx, bus.Tx(ctx), e.OrderID)
				return nil, err
			}).AnyOrder() // a returned order is charged, and a charge is not voided
		},
		"refund-undeliverable": func(m *bus.Module, name string) {
			bus.On(m, name, func(ctx context.Context, e shippingevents.Undeliverable) (bus.Events, error) {
				return refund(ctx, gateway, e.OrderID, paymentevents.ReasonUndeliverable)
			}).Emits(paymentevents.Refunded{}).External(parallel)
		},
		"refund-returned": func(m *bus.Module, name string) {
			bus.On(m, name, func(ctx context.Context, e orderevents.Returned) (bus.Events, error) {
				if e.Credit {
					return credit(ctx, gateway, e.OrderID, e.Refund)
				}
				return refund(ctx, gateway, e.OrderID, paymentevents.ReasonReturned)
			}).Emits(paymentevents.Refunded{}).External(parallel)
		},
	}.on(m, swap)
}

// charge sends the charge for an order to the gateway, and returns the outcome as an event.
func charge(ctx context.Context, gateway payment.Gateway, e inventoryevents.Reserved) (bus.Events, error) {
	var step payment.Step
	err := bus.Commit(ctx, func(ctx context.Context) (err error) {
		step, err = payment.BeginCharge(ctx, bus.Tx(ctx), e.OrderID)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case step == payment.AlreadyDone:
		return nil, nil
	case step == payment.AnswerCancelled:
		return declined(e.OrderID, paymentevents.ReasonCancelled), nil
	}
	c := payment.Charge{Key: bus.Delivery(ctx).ID, OrderID: e.OrderID, Amount: e.Total}
	receipt, err := c.Send(ctx, gateway)
	var refusal *payment.DeclinedError
	switch {
	case errors.As(err, &refusal):
		return declined(e.OrderID, refusal.Reason), nil
	case err != nil:
		return nil, err
	}
	charged := paymentevents.Charged{OrderID: e.OrderID, Amount: e.Total, Reference: receipt.Reference}
	return bus.Emit(charged).Also(func(ctx context.Context) error {
		return recorded(payment.RecordCharge(ctx, bus.Tx(ctx), charged))
	}), nil
}

func declined(orderID, reason string) bus.Events {
	e := paymentevents.Declined{OrderID: orderID, Reason: reason}
	return bus.Emit(e).Also(func(ctx context.Context) error {
		return recorded(payment.RecordDecline(ctx, bus.Tx(ctx), e))
	})
}

// refund gives back the whole charge of an order.
func refund(ctx context.Context, gateway payment.Gateway, orderID, reason string) (bus.Events, error) {
	var amount int64
	var due bool
	err := bus.Commit(ctx, func(ctx context.Context) (err error) {
		amount, due, err = payment.BeginRefund(ctx, bus.Tx(ctx), orderID)
		return err
	})
	if err != nil || !due {
		return nil, finalPayment(err)
	}
	r := payment.Refund{Key: bus.Delivery(ctx).ID, OrderID: orderID, Amount: amount}
	receipt, err := r.Send(ctx, gateway)
	if err != nil {
		return nil, err
	}
	refunded := paymentevents.Refunded{OrderID: orderID, Amount: amount, Reference: receipt.Reference, Reason: reason}
	return bus.Emit(refunded).Also(func(ctx context.Context) error {
		return recorded(payment.RecordRefund(ctx, bus.Tx(ctx), refunded))
	}), nil
}

// credit pays out a credit note, for which no money was charged.
func credit(ctx context.Context, gateway payment.Gateway, id string, amount int64) (bus.Events, error) {
	r := payment.Refund{Key: bus.Delivery(ctx).ID, OrderID: id, Amount: amount}
	receipt, err := r.Send(ctx, gateway)
	if err != nil {
		return nil, err
	}
	refunded := paymentevents.Refunded{
		OrderID: id, Amount: amount, Reference: receipt.Reference, Reason: paymentevents.ReasonReturned,
	}
	return bus.Emit(refunded).Also(func(ctx context.Context) error {
		return recorded(payment.RecordCredit(ctx, bus.Tx(ctx), refunded))
	}), nil
}

// recorded drops a second answer to a request, so that only the first answer is emitted.
func recorded(fresh bool, err error) error {
	if err == nil && !fresh {
		return bus.Drop("recorded before")
	}
	return finalPayment(err)
}

// undeliverableOnly skips refunds of returned goods and of credit notes: only an undeliverable order is undone.
func undeliverableOnly(e paymentevents.Refunded) bool {
	return e.Reason == paymentevents.ReasonUndeliverable
}

// finalPayment makes a dead letter of events that contradict each other: a retry does not help.
func finalPayment(err error) error {
	if errors.Is(err, payment.ErrConflict) || errors.Is(err, payment.ErrNotCharged) {
		return bus.Dead(err)
	}
	return err
}
