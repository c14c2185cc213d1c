package handlers_test

import (
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/domain/order"
)

// The gateway fails, hangs, and takes the money without saying so; the carrier is away for ten minutes; the process dies.
// The customer notices nothing but the delay: the gateway has charged once, and one parcel has left.
func TestABadDay(t *testing.T) {
	run(t, func(shop *app) {
		gateway, carrier := shop.World().Service("gateway"), shop.World().Service("carrier")
		gateway.Next("charge", bustest.Fails, bustest.Hangs, bustest.LosesAnswer)
		carrier.Next("dispatch", bustest.Fails, bustest.Fails, bustest.Fails, bustest.Fails, bustest.Fails)
		place(shop, "order-1", "MUG", 2)
		shop.Advance(10 * time.Second) // the second call hangs
		shop.Crash()
		shop.Quiet()
		wantStatus(t, shop, "order-1", order.StatusCompleted)
		if charged, left := len(gateway.Done("charge")), len(carrier.Done("dispatch")); charged != 1 || left != 1 {
			t.Errorf("charged %d times, %d parcels", charged, left)
		}
		if asked := len(gateway.Calls("charge")); asked < 4 {
			t.Errorf("the gateway was asked %d times", asked)
		}
	})
}

// A call that is never answered becomes a dead letter after its attempts. Other orders go on meanwhile, and when somebody
// has it replayed, so does this one.
func TestTheGatewayIsGone(t *testing.T) {
	run(t, func(shop *app) {
		for range 8 {
			shop.World().Service("gateway").Next("charge", bustest.Fails)
		}
		place(shop, "order-1", "MUG", 2)
		shop.Quiet()
		place(shop, "order-2", "MUG", 1)
		shop.Quiet()
		wantStatus(t, shop, "order-1", order.StatusPlaced)
		wantStatus(t, shop, "order-2", order.StatusCompleted)
		shop.Replay("payment/charge")
		shop.Quiet()
		wantStatus(t, shop, "order-1", order.StatusCompleted)
	})
}
