package handlers

import (
	"context"
	"errors"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/domain/inventory/inventoryevents"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
	"github.com/troupebus/troupe/domain/shipping/shippingevents"
)

// Orders is the interface of the order module for other parts of the program. The id of an order is the id of its
// flow, so all events about an order are one flow.
type Orders struct{ m *bus.Module }

// Order wires the order module, which keeps every order and its end.
func Order(b *bus.Bus, swap ...Reactions) *Orders {
	m := b.Module("order").Migrations(order.Schema).
		Emits(orderevents.Placed{}, orderevents.CancelRequested{}, orderevents.Returned{})

	cancel := func(ctx context.Context, id, reason string) (bus.Events, error) {
		cancelled, fresh, err := order.Cancel(ctx, bus.Tx(ctx), id, reason)
		if err != nil || !fresh {
			return nil, finalOrder(err)
		}
		return bus.Emit(cancelled), nil
	}

	Reactions{
		"complete": func(m *bus.Module, name string) {
			bus.On(m, name, func(ctx context.Context, e shippingevents.Dispatched) (bus.Events, error) {
				c, fresh, err := order.Complete(ctx, bus.Tx(ctx), e.OrderID)
				if err != nil || !fresh {
					return nil, finalOrder(err)
				}
				if c.Returned != nil { // the cancel came too late: the goods come back
					return bus.Emit(c.Completed, *c.Returned), nil
				}
				return bus.Emit(c.Completed), nil
			}).Emits(orderevents.Completed{}, orderevents.Returned{})
		},
		"cancel-short": func(m *bus.Module, name string) {
			bus.On(m, name, func(ctx context.Context, e inventoryevents.Short) (bus.Events, error) {
				return cancel(ctx, e.OrderID, "out of stock")
			}).Emits(orderevents.Cancelled{})
		},
		"cancel-declined": func(m *bus.Module, name string) {
			bus.On(m, name, func(ctx context.Context, e paymentevents.Declined) (bus.Events, error) {
				return cancel(ctx, e.OrderID, "payment declined: "+e.Reason)
			}).Emits(orderevents.Cancelled{}).AnyOrder() // a declined order is never refunded
		},
		"cancel-undeliverable": func(m *bus.Module, name string) {
			bus.On(m, name, func(ctx context.Context, e paymentevents.Refunded) (bus.Events, error) {
				return cancel(ctx, e.OrderID, "undeliverable, refunded")
			}).Emits(orderevents.Cancelled{}).When(undeliverableOnly)
		},
	}.on(m, swap)

	return &Orders{m}
}

// finalOrder makes a dead letter of events that contradict each other: a retry does not help.
func finalOrder(err error) error {
	if errors.Is(err, order.ErrEnded) || errors.Is(err, order.ErrNotFound) {
		return bus.Dead(err)
	}
	return err
}

// Place places an order once: a repeated call with the same content reports false. If the key of r was used for the
// same request before, Place returns the id of the earlier order.
func (o *Orders) Place(ctx context.Context, n order.New, r *order.Request) (id string, placed bool, err error) {
	_, err = o.m.Do(bus.Correlate(ctx, n.ID), func(ctx context.Context) (bus.Events, error) {
		id, placed = n.ID, false
		if r != nil {
			var known bool
			if id, known, err = order.Remember(ctx, bus.Tx(ctx), *r); err != nil || known {
				return nil, err
			}
		}
		e, fresh, err := order.Place(ctx, bus.Tx(ctx), n)
		if placed = fresh; err != nil || !fresh {
			return nil, err
		}
		return bus.Emit(e), nil
	})
	return id, placed, err
}

// RequestCancel marks an open order for cancellation, and reports false when the order was marked before.
func (o *Orders) RequestCancel(ctx context.Context, id, reason string) (fresh bool, err error) {
	_, err = o.m.Do(bus.Correlate(ctx, id), func(ctx context.Context) (bus.Events, error) {
		var e orderevents.CancelRequested
		if e, fresh, err = order.RequestCancel(ctx, bus.Tx(ctx), id, reason); err != nil || !fresh {
			return nil, err
		}
		return bus.Emit(e), nil
	})
	return fresh, err
}

// Return takes back a completed order, and reports false when the order was returned before.
func (o *Orders) Return(ctx context.Context, id, reason string) (fresh bool, err error) {
	_, err = o.m.Do(bus.Correlate(ctx, id), func(ctx context.Context) (bus.Events, error) {
		var e orderevents.Returned
		if e, fresh, err = order.Return(ctx, bus.Tx(ctx), id, reason); err != nil || !fresh {
			return nil, err
		}
		return bus.Emit(e), nil
	})
	return fresh, err
}

// Credit adds a credit note for goods that were bought elsewhere, and reports false when the note was added before.
func (o *Orders) Credit(ctx context.Context, n order.New, reason string) (fresh bool, err error) {
	_, err = o.m.Do(bus.Correlate(ctx, n.ID), func(ctx context.Context) (bus.Events, error) {
		var e orderevents.Returned
		if e, fresh, err = order.Credit(ctx, bus.Tx(ctx), n, reason); err != nil || !fresh {
			return nil, err
		}
		return bus.Emit(e), nil
	})
	return fresh, err
}

// Get reads an order.
func (o *Orders) Get(ctx context.Context, id string) (got order.Order, err error) {
	err = o.m.View(ctx, func(tx bus.SQL) error {
		got, err = order.Get(ctx, tx, id)
		return err
	})
	return got, err
}
