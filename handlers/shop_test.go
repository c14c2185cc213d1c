package handlers_test

import (
	"context"
	"testing"

	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/internal/shop/shoptest"
)

// The tests of this folder are what the shop does, a page each, named as the business would. They run the five modules as
// the program does, on its real journal, with a payment gateway and a carrier that remember what they did. What each of
// them checks without saying so: stock and money balance, gateway and carrier did just what the books say, every
// customer was told once, every event has its answer, and no module touched another's tables.

// app is the shop that runs.
type app = bustest.App[shoptest.Shop]

// run starts a shop that has ten mugs, and one rare thing.
func run(t *testing.T, test func(shop *app)) {
	t.Parallel()
	bustest.Run(t, shoptest.System(), func(shop *app) {
		open(shop)
		test(shop)
	})
}

// explore does so under many schedules: any order that can be, crashes, deliveries that come twice, calls that go wrong.
func explore(t *testing.T, scenario func(shop *app)) {
	t.Parallel()
	bustest.Explore(t, shoptest.System(), bustest.Exploration{Schedules: schedules(t)}, func(shop *app) {
		open(shop)
		scenario(shop)
	})
}

func open(shop *app) {
	shop.Must("goods arrive", func(ctx context.Context, s shoptest.Shop) error {
		if err := s.Receive(ctx, "MUG", 10); err != nil {
			return err
		}
		return s.Receive(ctx, "RARE", 1)
	})
}

func place(shop *app, id, sku string, quantity int64) {
	shop.Must("the customer orders "+id, func(ctx context.Context, s shoptest.Shop) error { return s.Place(ctx, id, sku, quantity) })
}

func cancel(shop *app, id string) {
	shop.Must("the customer cancels "+id, func(ctx context.Context, s shoptest.Shop) error { return s.Cancel(ctx, id) })
}

func giveBack(shop *app, id string) {
	shop.Must("the customer returns "+id, func(ctx context.Context, s shoptest.Shop) error { return s.Return(ctx, id) })
}

// wantStatus asks the order module how an order ended.
func wantStatus(t *testing.T, shop *app, id string, want order.Status) {
	t.Helper()
	if got, err := shop.S().Orders.Get(shop.Context(), id); err != nil || got.Status != want {
		t.Errorf("order %s is %s, want %s: %v", id, got.Status, want, err)
	}
}

// wantStock asks the inventory module what is there.
func wantStock(t *testing.T, shop *app, sku string, onHand int64) {
	t.Helper()
	if got, err := shop.S().Stock.Get(shop.Context(), sku); err != nil || got.OnHand != onHand {
		t.Errorf("%s: %d on hand, want %d: %v", sku, got.OnHand, onHand, err)
	}
}
