package planted

import (
	"context"
	"database/sql"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/inventory/inventoryevents"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
	"github.com/troupebus/troupe/domain/shipping/shippingevents"
	"github.com/troupebus/troupe/handlers"
)

// inventory is handlers.Inventory with what is swapped.
func (g Bug) inventory(b *bus.Bus, o Outside) Stock {
	m := b.Module("inventory").Migrations(inventory.Schema).ForOutside(inventoryevents.Released{})
	g.react("inventory", m, o)
	return stock{b, m}
}

type stock struct {
	b *bus.Bus
	m *bus.Module
}

// Receive implements Stock.
func (s stock) Receive(ctx context.Context, deliveries []handlers.Delivery) (fresh int, err error) {
	_, err = s.m.Do(ctx, func(ctx context.Context) (bus.Events, error) {
		fresh = 0
		for _, d := range deliveries {
			added, err := inventory.Receive(ctx, bus.Tx(ctx), d.SKU, d.Quantity)
			if err != nil {
				return nil, err
			}
			if added {
				fresh++
			}
		}
		return nil, nil
	})
	return fresh, err
}

// Get implements Stock.
func (s stock) Get(ctx context.Context, sku string) (got inventory.Stock, err error) {
	err = s.b.View(ctx, func(tx *sql.Tx) error {
		got, err = inventory.Get(ctx, tx, sku)
		return err
	})
	return got, err
}

func reserveStock(m *bus.Module, _ Outside) {
	bus.On(m, "reserve-stock", func(ctx context.Context, e orderevents.Placed) (bus.Events, error) {
		missing, fresh, err := inventory.Reserve(ctx, bus.Tx(ctx), e.OrderID, e.Lines)
		switch {
		case err != nil || !fresh:
			return nil, final(err)
		case len(missing) > 0:
			return bus.Emit(inventoryevents.Short{OrderID: e.OrderID, SKUs: missing}), nil
		}
		return bus.Emit(inventoryevents.Reserved{OrderID: e.OrderID, Total: e.Total}), nil
	}).Emits(inventoryevents.Reserved{}, inventoryevents.Short{})
}

func release(ctx context.Context, orderID string) (bus.Events, error) {
	fresh, err := inventory.Release(ctx, bus.Tx(ctx), orderID)
	if err != nil || !fresh {
		return nil, final(err)
	}
	return bus.Emit(inventoryevents.Released{OrderID: orderID}), nil
}

func releaseDeclined(m *bus.Module, _ Outside) {
	bus.On(m, "release-declined", func(ctx context.Context, e paymentevents.Declined) (bus.Events, error) {
		return release(ctx, e.OrderID)
	}).Emits(inventoryevents.Released{})
}

func releaseUndeliverable(m *bus.Module, _ Outside) {
	bus.On(m, "release-undeliverable", func(ctx context.Context, e paymentevents.Refunded) (bus.Events, error) {
		return release(ctx, e.OrderID)
	}).Emits(inventoryevents.Released{}).When(undelivered)
}

func ship(m *bus.Module, _ Outside) {
	bus.On(m, "ship", func(ctx context.Context, e shippingevents.Dispatched) (bus.Events, error) {
		_, err := inventory.Ship(ctx, bus.Tx(ctx), e.OrderID)
		return nil, final(err)
	})
}

func restock(m *bus.Module, _ Outside) {
	bus.On(m, "restock", func(ctx context.Context, e orderevents.Returned) (bus.Events, error) {
		_, err := inventory.Restock(ctx, bus.Tx(ctx), e)
		return nil, final(err)
	})
}

// order is handlers.Order with what is swapped.
func (g Bug) order(b *bus.Bus, o Outside) Orders {
	m := b.Module("order").Migrations(order.Schema).
		Emits(orderevents.Placed{}, orderevents.CancelRequested{}, orderevents.Returned{})
	g.react("order", m, o)
	c := clerk{m: m, place: placeOnce(m)}
	if g.Place != nil {
		c.place = g.Place(b, m)
	}
	return c
}

// clerk is handlers.Orders.
type clerk struct {
	m     *bus.Module
	place PlaceFunc
}

// Place implements Orders.
func (c clerk) Place(ctx context.Context, n order.New, r *order.Request) (id string, placed bool, err error) {
	return c.place(ctx, n, r)
}

func placeOnce(m *bus.Module) PlaceFunc {
	return func(ctx context.Context, n order.New, _ *order.Request) (id string, placed bool, err error) {
		_, err = m.Do(bus.Correlate(ctx, n.ID), func(ctx context.Context) (bus.Events, error) {
			e, fresh, err := order.Place(ctx, bus.Tx(ctx), n)
			if placed = fresh; err != nil || !fresh {
				return nil, err
			}
			return bus.Emit(e), nil
		})
		return n.ID, placed, err
	}
}

// RequestCancel implements Orders.
func (c clerk) RequestCancel(ctx context.Context, id, reason string) (fresh bool, err error) {
	_, err = c.m.Do(bus.Correlate(ctx, id), func(ctx context.Context) (bus.Events, error) {
		var e orderevents.CancelRequested
		if e, fresh, err = order.RequestCancel(ctx, bus.Tx(ctx), id, reason); err != nil || !fresh {
			return nil, err
		}
		return bus.Emit(e), nil
	})
	return fresh, err
}

// Return implements Orders.
func (c clerk) Return(ctx context.Context, id, reason string) (fresh bool, err error) {
	_, err = c.m.Do(bus.Correlate(ctx, id), func(ctx context.Context) (bus.Events, error) {
		var e orderevents.Returned
		if e, fresh, err = order.Return(ctx, bus.Tx(ctx), id, reason); err != nil || !fresh {
			return nil, err
		}
		return bus.Emit(e), nil
	})
	return fresh, err
}
