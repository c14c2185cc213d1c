package planted

import (
	"context"
	"errors"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/notification"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/payment"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
	"github.com/troupebus/troupe/domain/shipping"
	"github.com/troupebus/troupe/domain/shipping/shippingevents"
)

// conflicts are the errors about events that contradict each other.
var conflicts = []error{
	inventory.ErrConflict, order.ErrEnded, order.ErrNotFound, payment.ErrConflict, payment.ErrNotCharged,
	shipping.ErrConflict, notification.ErrConflict,
}

// final makes a dead letter of events that contradict each other: a retry does not help.
func final(err error) error {
	for _, conflict := range conflicts {
		if errors.Is(err, conflict) {
			return bus.Dead(err)
		}
	}
	return err
}

// once drops a second answer to a request.
func once(fresh bool, err error) error {
	if err == nil && !fresh {
		return bus.Drop("recorded before")
	}
	return final(err)
}

func cancel(ctx context.Context, id, reason string) (bus.Events, error) {
	cancelled, fresh, err := order.Cancel(ctx, bus.Tx(ctx), id, reason)
	if err != nil || !fresh {
		return nil, final(err)
	}
	return bus.Emit(cancelled), nil
}

func beginDispatch(ctx context.Context, orderID string) (step shipping.Step, err error) {
	err = bus.Commit(ctx, func(ctx context.Context) (err error) {
		step, err = shipping.Begin(ctx, bus.Tx(ctx), orderID)
		return err
	})
	return step, err
}

// stopped returns the answer for a parcel that must not be sent to the carrier.
func stopped(step shipping.Step, orderID string) bus.Events {
	if step == shipping.AnswerCancelled {
		return undeliverable(orderID, shippingevents.ReasonCancelled)
	}
	return nil
}

// handOver sends the parcel to the carrier, and returns the outcome as an event.
func handOver(ctx context.Context, c shipping.Carrier, p shipping.Parcel) (bus.Events, error) {
	label, err := c.Dispatch(ctx, p)
	var refusal *shipping.UndeliverableError
	switch {
	case errors.As(err, &refusal):
		return undeliverable(p.OrderID, refusal.Reason), nil
	case err != nil:
		return nil, err
	}
	e := shippingevents.Dispatched{OrderID: p.OrderID, Tracking: label.Tracking}
	return bus.Emit(e).Also(func(ctx context.Context) error {
		return once(shipping.RecordDispatched(ctx, bus.Tx(ctx), e))
	}), nil
}

func undeliverable(orderID, reason string) bus.Events {
	e := shippingevents.Undeliverable{OrderID: orderID, Reason: reason}
	return bus.Emit(e).Also(func(ctx context.Context) error {
		return once(shipping.RecordUndeliverable(ctx, bus.Tx(ctx), e))
	})
}

func notify(ctx context.Context, n notification.Notice) (bus.Events, error) {
	_, err := notification.Notify(ctx, bus.Tx(ctx), n)
	return nil, final(err)
}

func beginCharge(ctx context.Context, orderID string) (step payment.Step, err error) {
	err = bus.Commit(ctx, func(ctx context.Context) (err error) {
		step, err = payment.BeginCharge(ctx, bus.Tx(ctx), orderID)
		return err
	})
	return step, err
}

// voided returns the answer for a charge that must not be sent to the gateway.
func voided(step payment.Step, orderID string) bus.Events {
	if step == payment.AnswerCancelled {
		return declined(orderID, paymentevents.ReasonCancelled)
	}
	return nil
}

// take sends the charge to the gateway, and returns the outcome as an event.
func take(ctx context.Context, g payment.Gateway, c payment.Charge) (bus.Events, error) {
	receipt, err := c.Send(ctx, g)
	var refusal *payment.DeclinedError
	switch {
	case errors.As(err, &refusal):
		return declined(c.OrderID, refusal.Reason), nil
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

// refund gives back the whole charge of an order.
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
	return refunded(paymentevents.Refunded{
		OrderID: orderID, Amount: amount, Reference: receipt.Reference, Reason: reason,
	}), nil
}

func refunded(e paymentevents.Refunded) bus.Events {
	return bus.Emit(e).Also(func(ctx context.Context) error {
		return once(payment.RecordRefund(ctx, bus.Tx(ctx), e))
	})
}
