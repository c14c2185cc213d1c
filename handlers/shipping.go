package handlers

import (
	"context"
	"errors"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
	"github.com/troupebus/troupe/domain/shipping"
	"github.com/troupebus/troupe/domain/shipping/shippingevents"
)

// Shipping wires the shipping module, which hands parcels to carrier, with at most parallel calls at a time. An order
// cannot be cancelled any more once the parcel has left.
func Shipping(b *bus.Bus, carrier shipping.Carrier, parallel int, swap ...Reactions) {
	m := b.Module("shipping").Migrations(shipping.Schema)

	Reactions{
		"dispatch": func(m *bus.Module, name string) {
			bus.On(m, name, func(ctx context.Context, e paymentevents.Charged) (bus.Events, error) {
				return dispatch(ctx, carrier, e)
			}).Emits(shippingevents.Dispatched{}, shippingevents.Undeliverable{}).External(parallel)
		},
		"stop": func(m *bus.Module, name string) {
			bus.On(m, name, func(ctx context.Context, e orderevents.CancelRequested) (bus.Events, error) {
				_, err := shipping.Stop(ctx, bus.Tx(ctx), e.OrderID)
				return nil, err
			})
		},
	}.on(m, swap)
}

// dispatch hands the parcel of an order to the carrier, and returns the outcome as an event.
func dispatch(ctx context.Context, carrier shipping.Carrier, e paymentevents.Charged) (bus.Events, error) {
	var step shipping.Step
	err := bus.Commit(ctx, func(ctx context.Context) (err error) {
		step, err = shipping.Begin(ctx, bus.Tx(ctx), e.OrderID)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case step == shipping.AlreadyDone:
		return nil, nil
	case step == shipping.AnswerCancelled:
		return undeliverable(e.OrderID, shippingevents.ReasonCancelled), nil
	}
	label, err := carrier.Dispatch(ctx, shipping.Parcel{Key: bus.Delivery(ctx).ID, OrderID: e.OrderID})
	var refusal *shipping.UndeliverableError
	switch {
	case errors.As(err, &refusal):
		return undeliverable(e.OrderID, refusal.Reason), nil
	case err != nil:
		return nil, err
	}
	dispatched := shippingevents.Dispatched{OrderID: e.OrderID, Tracking: label.Tracking}
	return bus.Emit(dispatched).Also(func(ctx context.Context) error {
		return shipped(shipping.RecordDispatched(ctx, bus.Tx(ctx), dispatched))
	}), nil
}

func undeliverable(orderID, reason string) bus.Events {
	e := shippingevents.Undeliverable{OrderID: orderID, Reason: reason}
	return bus.Emit(e).Also(func(ctx context.Context) error {
		return shipped(shipping.RecordUndeliverable(ctx, bus.Tx(ctx), e))
	})
}

// shipped drops a second answer for the same parcel, and makes a dead letter of answers that contradict each other.
func shipped(fresh bool, err error) error {
	switch {
	case errors.Is(err, shipping.ErrConflict):
		return bus.Dead(err)
	case err == nil && !fresh:
		return bus.Drop("recorded before")
	default:
		return err
	}
}
