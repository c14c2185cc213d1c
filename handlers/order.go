package handlers

import (
	"context"
	"database/sql"
	"errors"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/domain/inventory/inventoryevents"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
	"github.com/troupebus/troupe/domain/shipping/shippingevents"
)

// Orders is what the outside may ask of the order module. The flow of an order is called by the order's id, so that
// everything that ever happens about it is one flow.
type Orders struct{ m *bus.Module }

// Order wires the order module: it knows what was asked for, and how each order ended.
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
				if c.Returned != nil { // the cancel came too late: what has left comes back
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
			}).Emits(orderevents.Cancelled{})
		},
		"cancel-undeliverable": func(m *bus.Module, name string) {
			bus.On(m, name, func(ctx context.Context, e paymentevents.Refunded) (bus.Events, error) {
				return cancel(ctx, e.OrderID, "undeliverable, refunded")
			}).Emits(orderevents.Cancelled{}).When(func(e paymentevents.Refunded) bool { return e.Reason == paymentevents.ReasonUndeliverable })
		},
	}.on(m, swap)

	return &Orders{m}
}

// finalOrder marks what no retry helps against: events that contradict each other.
func finalOrder(err error) error {
	if errors.Is(err, order.ErrEnded) || errors.Is(err, order.ErrNotFound) {
		return bus.Dead(err)
	}
	return err
}

// Place places an order, once: asked again with the same content it reports false. With a request, whose key may stand
// for an order already, it returns that order's id.
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

// RequestCancel asks that an open order be undone. It reports false when that was asked before.
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

// Return takes back a completed order. It reports false when that was done before.
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

// Credit enters a credit note for goods that were bought elsewhere. It reports false when that was done before.
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
	err = o.m.View(ctx, func(tx *sql.Tx) error {
		got, err = order.Get(ctx, tx, id)
		return err
	})
	return got, err
}
