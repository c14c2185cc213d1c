package handlers_test

import (
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/domain/inventory/inventoryevents"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
)

// A customer who cancels before the shop has asked for the money gets an order that never was: nothing charged, nothing
// shipped. Here the gateway is busy with others for so long that there is time to think again.
func TestACustomerCancelsInTime(t *testing.T) {
	run(t, func(shop *app) {
		for _, id := range []string{"slow-1", "slow-2", "slow-3", "slow-4"} { // as many as are asked for at a time
			shop.World().Service("gateway").Next("charge", bustest.Hangs)
			place(shop, id, "MUG", 1)
		}
		shop.Advance(time.Second)
		place(shop, "order-1", "MUG", 2)
		shop.Advance(time.Second)
		cancel(shop, "order-1")
		shop.Flow("order-1").
			Exactly(
				orderevents.Placed{}, orderevents.CancelRequested{}, inventoryevents.Reserved{},
				paymentevents.Declined{Reason: paymentevents.ReasonCancelled}, inventoryevents.Released{}, orderevents.Cancelled{},
			).
			Golden(t, "a-customer-cancels-in-time")
		wantStatus(t, shop, "order-1", order.StatusCancelled)
		wantStatus(t, shop, "slow-1", order.StatusCompleted)
		wantStock(t, shop, "MUG", 6)
	})
}

// A cancel that comes after the goods have left comes too late: the order is completed, and returned at once.
func TestACustomerCancelsTooLate(t *testing.T) {
	run(t, func(shop *app) {
		shop.World().Service("carrier").Next("dispatch", bustest.LosesAnswer)
		place(shop, "order-1", "MUG", 2)
		shop.Advance(10 * time.Millisecond) // the parcel has left; nobody here knows yet
		cancel(shop, "order-1")
		shop.Flow("order-1").
			AtLeast(orderevents.Completed{}, orderevents.Returned{Refund: 2990}, paymentevents.Refunded{Amount: 2990}).
			Never(orderevents.Cancelled{}, inventoryevents.Released{}).
			Golden(t, "a-customer-cancels-too-late")
		wantStatus(t, shop, "order-1", order.StatusReturned)
		wantStock(t, shop, "MUG", 10)
	})
}

// The cancel may come at any moment: before the stock is reserved, while the gateway thinks, after the parcel has left.
// Whoever wins, the order has one end, the books balance, and the customer is told once.
func TestACustomerCancelsAtAnyMoment(t *testing.T) {
	explore(t, func(shop *app) {
		place(shop, "order-1", "MUG", 2)
		cancel(shop, "order-1")
	})
}
