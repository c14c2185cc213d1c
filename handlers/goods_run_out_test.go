package handlers_test

import (
	"testing"

	"github.com/troupebus/troupe/domain/inventory/inventoryevents"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
)

// What is not there cannot be reserved: the order is cancelled, nobody is charged, and what is there stays there.
func TestGoodsRunOut(t *testing.T) {
	run(t, func(shop *app) {
		place(shop, "order-1", "RARE", 2)
		shop.Flow("order-1").
			Exactly(
				orderevents.Placed{},
				inventoryevents.Short{SKUs: []string{"RARE"}},
				orderevents.Cancelled{Reason: "out of stock"},
			).
			Never(paymentevents.Charged{}).
			Golden(t, "goods-run-out")
		wantStatus(t, shop, "order-1", order.StatusCancelled)
		wantStock(t, shop, "RARE", 1)
	})
}

// Two want the last piece. Whoever comes first gets it, and there is never less than none.
func TestTwoWantTheLastPiece(t *testing.T) {
	explore(t, func(shop *app) {
		place(shop, "order-1", "RARE", 1)
		place(shop, "order-2", "RARE", 1)
	})
}
