package handlers_test

import (
	"context"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/shipping/shippingevents"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/shop/shoptest"
)

// shipApart is how the shop shipped and restocked before one subscription did both.
func shipApart(m *bus.Module, _ string) {
	bus.On(m, "ship", func(ctx context.Context, e shippingevents.Dispatched) (bus.Events, error) {
		_, err := inventory.Ship(ctx, bus.Tx(ctx), e.OrderID)
		return nil, err
	})
	bus.On(m, "restock", func(ctx context.Context, e orderevents.Returned) (bus.Events, error) {
		_, err := inventory.Restock(ctx, bus.Tx(ctx), e)
		return nil, err
	}).AnyOrder()
}

// A journal of the older shop goes on: what was shipped and restocked stays so, and what was sold can come back.
func TestAnOlderJournalGoesOn(t *testing.T) {
	t.Parallel()
	older, sys := true, shoptest.System()
	sys.Wire = func(b *bus.Bus, w *bustest.World) shoptest.Shop {
		if !older {
			return shoptest.Wire(b, w)
		}
		s := shoptest.Shop{Orders: handlers.Order(b), Stock: handlers.Inventory(b, handlers.Reactions{"ship-and-restock": shipApart})}
		handlers.Payment(b, shoptest.Gateway(w), 1)
		handlers.Shipping(b, shoptest.Carrier(w), 1)
		handlers.Notification(b)
		return s
	}
	bustest.Run(t, sys, func(shop *app) {
		open(shop)
		place(shop, "order-1", "MUG", 2)
		place(shop, "order-2", "MUG", 3)
		shop.Quiet()
		giveBack(shop, "order-1")
		shop.Quiet()
		older = false
		shop.Restart()
		place(shop, "order-3", "MUG", 1)
		giveBack(shop, "order-2")
		shop.Quiet()
		wantStatus(t, shop, "order-2", order.StatusReturned)
		wantStock(t, shop, "MUG", 9)
	})
}
