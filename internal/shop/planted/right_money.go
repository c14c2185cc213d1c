package planted

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

func charge(m *bus.Module, o Outside) {
	bus.On(m, "charge", func(ctx context.Context, e inventoryevents.Reserved) (bus.Events, error) {
		step, err := beginCharge(ctx, e.OrderID)
		if err != nil || step != payment.AskGateway {
			return voided(step, e.OrderID), err
		}
		return take(ctx, o.Gateway, payment.Charge{Key: bus.Delivery(ctx).ID, OrderID: e.OrderID, Amount: e.Total})
	}).Emits(paymentevents.Charged{}, paymentevents.Declined{}).External(parallel)
}

func beginCharge(ctx context.Context, orderID string) (step payment.Step, err error) {
	err = bus.Commit(ctx, func(ctx context.Context) (err error) {
		step, err = payment.BeginCharge(ctx, bus.Tx(ctx), orderID)
		return err
	})
	return step, err
}

// voided is the answer about a charge that the gateway is not to be asked for.
func voided(step payment.Step, orderID string) bus.Events {
	if step == payment.AnswerCancelled {
		return declined(orderID, paymentevents.ReasonCancelled)
	}
	return nil
}

// take asks the gateway, and answers with what came of it.
func take(ctx context.Context, g payment.Gateway, c payment.Charge) (bus.Events, error) {
	receipt, err := c.Send(ctx, g)
	var no *payment.DeclinedError
	switch {
	case errors.As(err, &no):
		return declined(c.OrderID, no.Reason), nil
	case err != nil:
		return nil, err
	}
	e := paymentevents.Charged{OrderID: c.OrderID, Amount: c.Amount, Reference: receipt.Reference}
	return bus.Emit(e).Also(func(ctx context.Context) error {
		return once(payment.RecordCharge(ctx, bus.Tx(ctx), e))
	}), nil
}

func declined(orderID, reason string) bus.Events {
	e := paymentevents.Declined{OrderID: orderID, Reason: reason}
	return bus.Emit(e).Also(func(ctx context.Context) error {
		return once(payment.RecordDecline(ctx, bus.Tx(ctx), e))
	})
}

func void(m *bus.Module, _ Outside) {
	bus.On(m, "void", func(ctx context.Context, e orderevents.CancelRequested) (bus.Events, error) {
		_, err := payment.Void(ctx, bus.Tx(ctx), e.OrderID)
		return nil, err
	})
}

func refundUndeliverable(m *bus.Module, o Outside) {
	bus.On(m, "refund-undeliverable", func(ctx context.Context, e shippingevents.Undeliverable) (bus.Events, error) {
		return refund(ctx, o.Gateway, e.OrderID, paymentevents.ReasonUndeliverable)
	}).Emits(paymentevents.Refunded{}).External(parallel)
}

func refundReturned(m *bus.Module, o Outside) {
	bus.On(m, "refund-returned", func(ctx context.Context, e orderevents.Returned) (bus.Events, error) {
		return refund(ctx, o.Gateway, e.OrderID, paymentevents.ReasonReturned)
	}).Emits(paymentevents.Refunded{}).External(parallel)
}

// refund gives back all that was charged for an order.
func refund(ctx context.Context, g payment.Gateway, orderID, reason string) (bus.Events, error) {
	var amount int64
	var due bool
	err := bus.Commit(ctx, func(ctx context.Context) (err error) {
		amount, due, err = payment.BeginRefund(ctx, bus.Tx(ctx), orderID)
		return err
	})
	if err != nil || !due {
		return nil, final(err)
	}
	receipt, err := payment.Refund{Key: bus.Delivery(ctx).ID, OrderID: orderID, Amount: amount}.Send(ctx, g)
	if err != nil {
		return nil, err
	}
	return refunded(paymentevents.Refunded{OrderID: orderID, Amount: amount, Reference: receipt.Reference, Reason: reason}), nil
}

func refunded(e paymentevents.Refunded) bus.Events {
	return bus.Emit(e).Also(func(ctx context.Context) error {
		return once(payment.RecordRefund(ctx, bus.Tx(ctx), e))
	})
}
