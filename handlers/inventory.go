package handlers

import (
	"context"
	"errors"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/inventory/inventoryevents"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
)

// Stock is the interface of the inventory module for other parts of the program.
type Stock struct{ m *bus.Module }

// Inventory wires the inventory module: goods are reserved for an order, then shipped or released, and may come back.
func Inventory(b *bus.Bus, swap ...Reactions) *Stock {
	m := b.Module("inventory").Migrations(inventory.Schema).ForOutside(inventoryevents.Released{})

	release := func(ctx context.Context, orderID string) (bus.Events, error) {
		fresh, err := inventory.Release(ctx, bus.Tx(ctx), orderID)
		if err != nil || !fresh {
			return nil, finalStock(err)
		}
		return bus.Emit(inventoryevents.Released{OrderID: orderID}), nil
	}

	Reactions{
		"reserve-stock": func(m *bus.Module, name string) {
			bus.On(m, name, func(ctx context.Context, e orderevents.Placed) (bus.Events, error) {
				missing, fresh, err := inventory.Reserve(ctx, bus.Tx(ctx), e.OrderID, e.Lines)
				switch {
				case err != nil || !fresh:
					return nil, finalStock(err)
				case len(missing) > 0:
					return bus.Emit(inventoryevents.Short{OrderID: e.OrderID, SKUs: missing}), nil
				}
				return bus.Emit(inventoryevents.Reserved{OrderID: e.OrderID, Total: e.Total}), nil
			}).Emits(inventoryevents.Reserved{}, inventoryevents.Short{}).AnyOrder() // goods leave after they were reserved
		},
		"release-declined": func(m *bus.Module, name string) {
			bus.On(m, name, func(ctx context.Context, e paymentevents.Declined) (bus.Events, error) {
				return release(ctx, e.OrderID)
			}).Emits(inventoryevents.Released{}).AnyOrder() // a declined order is never refunded
		},
		"release-undeliverable": func(m *bus.Module, name string) {
			bus.On(m, name, func(ctx context.Context, e paymentevents.Refunded) (bus.Events, error) {
				return release(ctx, e.OrderID)
			}).Emits(inventoryevents.Released{}).When(undeliverableOnly)
		},
		// One handler, because the goods of an order leave before they come back.
		"ship-and-restock": func(m *bus.Module, name string) {
			bus.OnEach(m, name,
				bus.Of(func(ctx context.Context, e orderevents.Completed) (bus.Events, error) {
					_, err := inventory.Ship(ctx, bus.Tx(ctx), e.OrderID)
					return nil, finalStock(err)
				}),
				bus.Of(func(ctx context.Context, e orderevents.Returned) (bus.Events, error) {
					_, err := inventory.Restock(ctx, bus.Tx(ctx), e)
					return nil, finalStock(err)
				}),
			).Was("restock")
		},
	}.on(m, swap)

	return &Stock{m}
}

// finalStock makes a dead letter of events that contradict each other: a retry does not help.
func finalStock(err error) error {
	if errors.Is(err, inventory.ErrConflict) {
		return bus.Dead(err)
	}
	return err
}

// Delivery is a quantity of an article.
type Delivery struct {
	SKU      string
	Quantity int64
}

// Receive adds the first deliveries of articles in one commit, and returns the number of new articles. A known
// article stays as it is.
func (s *Stock) Receive(ctx context.Context, deliveries []Delivery) (fresh int, err error) {
	fresh, _, err = bus.Do(ctx, s.m, bus.Unit{}, func(ctx context.Context) (fresh int, _ bus.Events, _ error) {
		for _, d := range deliveries {
			added, err := inventory.Receive(ctx, bus.Tx(ctx), d.SKU, d.Quantity)
			if err != nil {
				return 0, nil, err
			}
			if added {
				fresh++
			}
		}
		return fresh, nil, nil
	})
	return fresh, err
}

// Get reads the stock of an article.
func (s *Stock) Get(ctx context.Context, sku string) (got inventory.Stock, err error) {
	err = s.m.View(ctx, func(tx bus.SQL) error {
		got, err = inventory.Get(ctx, tx, sku)
		return err
	})
	return got, err
}
