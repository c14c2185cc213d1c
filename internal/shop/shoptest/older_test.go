package shoptest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/shipping/shippingevents"
	"github.com/troupebus/troupe/handlers"
)

// shipApart is how the shop shipped and restocked before one subscription did both. It has no room for order-2.
func shipApart(m *bus.Module, _ string) {
	bus.On(m, "ship", func(ctx context.Context, e shippingevents.Dispatched) (bus.Events, error) {
		_, err := inventory.Ship(ctx, bus.Tx(ctx), e.OrderID)
		return nil, err
	})
	bus.On(m, "restock", func(ctx context.Context, e orderevents.Returned) (bus.Events, error) {
		if e.OrderID == "order-2" {
			return nil, errors.New("no room")
		}
		_, err := inventory.Restock(ctx, bus.Tx(ctx), e)
		return nil, err
	}).AnyOrder()
}

// A journal of the older shop goes on: finished work stays finished, and waiting work is done under the new name.
func TestAnOlderJournalGoesOn(t *testing.T) {
	t.Parallel()
	older, sys := true, System()
	sys.Wire = func(b *bus.Bus, w *bustest.World) Shop {
		if !older {
			return Wire(b, w)
		}
		s := Shop{Orders: handlers.Order(b), Stock: handlers.Inventory(b, handlers.Reactions{"ship-and-restock": shipApart})}
		handlers.Payment(b, Gateway(w), parallel)
		handlers.Shipping(b, Carrier(w), parallel)
		handlers.Notification(b)
		return s
	}
	bustest.Run(t, sys, func(app *bustest.App[Shop]) {
		place := func(id string, quantity int64) {
			app.Must("place "+id, func(ctx context.Context, s Shop) error { return s.Place(ctx, id, "MUG", quantity) })
		}
		giveBack := func(id string) {
			app.Must("return "+id, func(ctx context.Context, s Shop) error { return s.Return(ctx, id) })
		}
		app.Must("receive", func(ctx context.Context, s Shop) error { return s.Receive(ctx, "MUG", 10) })
		place("order-1", 2)
		place("order-2", 3)
		app.Quiet()
		giveBack("order-1")
		giveBack("order-2")
		app.Advance(time.Second)
		older = false
		app.Restart()
		place("order-3", 1)
		app.Quiet()
		o, err := app.S().Orders.Get(app.Context(), "order-2")
		if err != nil || o.Status != order.StatusReturned {
			t.Errorf("order-2 is %s: %v", o.Status, err)
		}
		mugs, err := app.S().Stock.Get(app.Context(), "MUG")
		if err != nil || mugs.OnHand != 9 || mugs.Shipped != 6 || mugs.Returned != 5 {
			t.Errorf("mugs: %+v, %v", mugs, err)
		}
	})
}
