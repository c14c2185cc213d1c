package parity

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/internal/shop/shoptest"
)

type app = bustest.App[shoptest.Shop]

func stock(shop *app) {
	shop.Must("goods arrive", func(ctx context.Context, s shoptest.Shop) error {
		if err := s.Receive(ctx, "MUG", 100); err != nil {
			return err
		}
		return s.Receive(ctx, "RARE", 1)
	})
}

func place(shop *app, id, sku string) {
	shop.Must("the customer orders "+id, func(ctx context.Context, s shoptest.Shop) error { return s.Place(ctx, id, sku, 1) })
}

func cancel(shop *app, id string) {
	shop.Must("the customer cancels "+id, func(ctx context.Context, s shoptest.Shop) error { return s.Cancel(ctx, id) })
}

// await lets time pass until ready returns true.
func await(shop *app, what string, ready func() bool) {
	for range 4000 {
		if ready() {
			return
		}
		shop.Advance(5 * time.Millisecond)
	}
	shop.T().Fatalf("still waiting until %s", what)
}

// status returns the status of an order, from the process that runs the order module.
func status(shop *app, id string) order.Status {
	got, err := shop.S().Orders.Get(shop.Context(), id)
	if err != nil {
		shop.T().Fatal(err)
	}
	return got.Status
}

func ended(shop *app, id string, want order.Status) {
	shop.Quiet()
	if got := status(shop, id); got != want {
		shop.T().Errorf("order %s is %s, want %s", id, got, want)
	}
}

// scenario is a story of the business, with the flows that it leaves. The steps wait for each other, so that the
// story ends the same way however long an event is in transit.
type scenario struct {
	name  string
	story func(shop *app)
}

var scenarios = []scenario{
	{"every end of an order", func(shop *app) {
		for _, id := range []string{"plain", "declined", "undeliverable"} {
			place(shop, id, "MUG")
		}
		place(shop, "last", "RARE")
		shop.Quiet()
		place(shop, "short", "RARE")
		place(shop, "back", "MUG")
		ended(shop, "back", order.StatusCompleted)
		shop.Must("the customer returns it", func(ctx context.Context, s shoptest.Shop) error { return s.Return(ctx, "back") })
		shop.Must("a credit note", func(ctx context.Context, s shoptest.Shop) error {
			_, err := s.Orders.Credit(ctx, order.New{ID: "credit", CustomerID: "c", Lines: []orderevents.Line{{SKU: "MUG", Quantity: 2, UnitPrice: 300}}}, "broken")
			return err
		})
		for id, want := range map[string]order.Status{
			"plain": order.StatusCompleted, "last": order.StatusCompleted, "back": order.StatusReturned, "credit": order.StatusReturned,
			"declined": order.StatusCancelled, "undeliverable": order.StatusCancelled, "short": order.StatusCancelled,
		} {
			ended(shop, id, want)
		}
	}},
	{"a cancel that wins the race against the charge", func(shop *app) {
		gateway := shop.World().Service("gateway")
		for i := range 4 { // as many as may run at a time
			gateway.Next("charge", bustest.Hangs)
			place(shop, fmt.Sprint("slow-", i), "MUG")
		}
		await(shop, "the gateway hangs", func() bool { return asked(shop, "charge") == 4 })
		place(shop, "order-1", "MUG")
		cancel(shop, "order-1")
		ended(shop, "order-1", order.StatusCancelled)
		ended(shop, "slow-3", order.StatusCompleted)
	}},
	{"a cancel that loses the race against the dispatch", func(shop *app) {
		carrier := shop.World().Service("carrier")
		carrier.Next("dispatch", bustest.LosesAnswer)
		place(shop, "order-1", "MUG")
		await(shop, "the parcel has left", func() bool { return len(carrier.Done("dispatch")) == 1 })
		cancel(shop, "order-1")
		ended(shop, "order-1", order.StatusReturned)
	}},
	{"an outside that fails for a while", func(shop *app) {
		shop.World().Service("gateway").Next("charge", bustest.Fails, bustest.LosesAnswer, bustest.Fails)
		shop.World().Service("carrier").Next("dispatch", bustest.Fails, bustest.Fails)
		place(shop, "order-1", "MUG")
		ended(shop, "order-1", order.StatusCompleted)
		if n := len(shop.World().Service("gateway").Done("charge")); n != 1 {
			shop.T().Errorf("charged %d times", n)
		}
	}},
	{"a failure for good, and a person who repairs it", func(shop *app) {
		for range 4 {
			shop.World().Service("gateway").Next("charge", bustest.Fails)
		}
		place(shop, "order-1", "MUG")
		ended(shop, "order-1", order.StatusPlaced)
		place(shop, "order-2", "MUG")
		ended(shop, "order-2", order.StatusCompleted)
		shop.Replay("payment/charge")
		ended(shop, "order-1", order.StatusCompleted)
	}},
	{"processes that stop and die on the way", func(shop *app) {
		for i := range 12 {
			place(shop, fmt.Sprint("order-", i), "MUG")
			switch i {
			case 4:
				shop.Crash()
			case 8:
				shop.Restart()
			}
		}
		for i := range 12 {
			ended(shop, fmt.Sprint("order-", i), order.StatusCompleted)
		}
	}},
}

// asked counts the calls that have arrived, also calls without an answer.
func asked(shop *app, op string) int {
	return len(shop.World().Service("gateway").Calls(op))
}

func TestTheShopMeansTheSameInEveryShape(t *testing.T) {
	t.Parallel()
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			sys := shoptest.System()
			sys.Join = shoptest.Join
			parity(t, sys, modules, func(shop *app) {
				stock(shop)
				sc.story(shop)
			})
		})
	}
}
