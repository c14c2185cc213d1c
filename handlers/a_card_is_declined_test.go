package handlers_test

import (
	"testing"

	"github.com/troupebus/troupe/domain/inventory/inventoryevents"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
	"github.com/troupebus/troupe/domain/shipping/shippingevents"
)

// The gateway says no, for good: what was reserved is released, the order is cancelled. Both follow from the same event,
// and neither waits for the other.
func TestACardIsDeclined(t *testing.T) {
	run(t, func(shop *app) {
		place(shop, "declined-1", "MUG", 2)
		shop.Flow("declined-1").
			Exactly(
				orderevents.Placed{},
				inventoryevents.Reserved{},
				paymentevents.Declined{Reason: "no funds"},
				inventoryevents.Released{},
				orderevents.Cancelled{Reason: "payment declined: no funds"},
			).
			Causes(paymentevents.Declined{}, inventoryevents.Released{}).
			Causes(paymentevents.Declined{}, orderevents.Cancelled{}).
			Never(shippingevents.Dispatched{}).
			Golden(t, "a-card-is-declined")
		wantStatus(t, shop, "declined-1", order.StatusCancelled)
		wantStock(t, shop, "MUG", 10)
	})
}

func TestACardIsDeclinedWhateverHappens(t *testing.T) {
	explore(t, func(shop *app) { place(shop, "declined-1", "MUG", 2) })
}
