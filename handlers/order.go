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

// Place places an order once, and reports false for a repeated call. Under an idempotency key, Place returns the id of
// the first order for the same request, and a bus.ErrKeyReused for another request. A request has no id.
func (o *Orders) Place(ctx context.Context, n order.New, key string) (id string, placed bool, err error) {
	type answer struct {
		ID    string
		Fresh bool
	}
	u := bus.Unit{Key: key, Body: order.New{CustomerID: n.CustomerID, Lines: n.Lines, Charges: n.Charges}}
	a, _, err := bus.Do(bus.Correlate(ctx, n.ID), o.m, u, func(ctx context.Context) (answer, bus.Events, error) {
		e, fresh, err := order.Place(ctx, bus.Tx(ctx), n)
		if err != nil || !fresh {
			return answer{ID: n.ID}, nil, err
		}
		return answer{n.ID, true}, bus.Emit(e), nil
	})
	return a.ID, a.Fresh && a.ID == n.ID, err
}

// RequestCancel marks an open order for cancellation, and reports false when the order was marked before.
func (o *Orders) RequestCancel(ctx context.Context, id, reason string) (fresh bool, err error) {
	return change(ctx, o.m, id, func(ctx context.Context) (orderevents.CancelRequested, bool, error) {
		return order.RequestCancel(ctx, bus.Tx(ctx), id, reason)
	})
}

// Return takes back a completed order, and reports false when the order was returned before.
func (o *Orders) Return(ctx context.Context, id, reason string) (fresh bool, err error) {
	return change(ctx, o.m, id, func(ctx context.Context) (orderevents.Returned, bool, error) {
		return order.Return(ctx, bus.Tx(ctx), id, reason)
	})
}

// Credit adds a credit note for goods that were bought elsewhere, and reports false when the note was added before.
func (o *Orders) Credit(ctx context.Context, n order.New, reason string) (fresh bool, err error) {
	return change(ctx, o.m, n.ID, func(ctx context.Context) (orderevents.Returned, bool, error) {
		return order.Credit(ctx, bus.Tx(ctx), n, reason)
	})
}

// change runs fn as a unit of work in the flow of an order. When fn reports false, change emits no event.
func change[E bus.Event](
	ctx context.Context, m *bus.Module, id string, fn func(ctx context.Context) (E, bool, error),
) (fresh bool, err error) {
	fresh, _, err = bus.Do(bus.Correlate(ctx, id), m, bus.Unit{}, func(ctx context.Context) (bool, bus.Events, error) {
		e, fresh, err := fn(ctx)
		if err != nil || !fresh {
			return false, nil, err
		}
		return true, bus.Emit(e), nil
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
