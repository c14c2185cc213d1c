package handlers_test

import (
	"testing"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/domain/inventory/inventoryevents"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
	"github.com/troupebus/troupe/domain/shipping/shippingevents"
)

// The goods are there, the card is good, the address exists: what was ordered is reserved, then charged, then handed to the
// carrier, and the customer is told. Each module knows only the event before its own.
func TestAnOrderIsDelivered(t *testing.T) {
	run(t, func(shop *app) {
		place(shop, "order-1", "MUG", 2)
		shop.Flow("order-1").
			Causes(
				orderevents.Placed{OrderID: "order-1", Total: 2990},
				inventoryevents.Reserved{Total: 2990},
				paymentevents.Charged{Amount: 2990},
				shippingevents.Dispatched{},
				orderevents.Completed{CustomerID: "c-order-1", Total: 2990},
			).
			Never(orderevents.Cancelled{}).
			Outcome("notification/tell-completed", journal.Done).
			Golden(t, "an-order-is-delivered")
		wantStatus(t, shop, "order-1", order.StatusCompleted)
		wantStock(t, shop, "MUG", 8)
	})
}

func TestAnOrderIsDeliveredWhateverHappens(t *testing.T) {
	explore(t, func(shop *app) { place(shop, "order-1", "MUG", 2) })
}
