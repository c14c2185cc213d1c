package handlers_test

import (
	"testing"

	"github.com/troupebus/troupe/domain/inventory/inventoryevents"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
	"github.com/troupebus/troupe/domain/shipping/shippingevents"
)

// The carrier cannot deliver, after the customer has paid: the money goes back first, and then the goods into the stock.
func TestAParcelComesBack(t *testing.T) {
	run(t, func(shop *app) {
		place(shop, "undeliverable-1", "MUG", 2)
		shop.Flow("undeliverable-1").
			InOrder(
				paymentevents.Charged{Amount: 2990},
				shippingevents.Undeliverable{Reason: "unknown street"},
				paymentevents.Refunded{Amount: 2990, Reason: paymentevents.ReasonUndeliverable},
			).
			Causes(paymentevents.Refunded{}, inventoryevents.Released{}).
			Causes(paymentevents.Refunded{}, orderevents.Cancelled{Reason: "undeliverable, refunded"}).
			Golden(t, "a-parcel-comes-back")
		wantStatus(t, shop, "undeliverable-1", order.StatusCancelled)
		wantStock(t, shop, "MUG", 10)
	})
}

func TestAParcelComesBackWhateverHappens(t *testing.T) {
	explore(t, func(shop *app) { place(shop, "undeliverable-1", "MUG", 2) })
}
