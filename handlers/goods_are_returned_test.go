package handlers_test

import (
	"context"
	"testing"

	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment/paymentevents"
	"github.com/troupebus/troupe/internal/shop/shoptest"
)

// A completed order comes back: the money is refunded and the goods are on the shelf again. The customer was told of the
// delivery, and is not told again.
func TestGoodsAreReturned(t *testing.T) {
	run(t, func(shop *app) {
		place(shop, "order-1", "MUG", 2)
		shop.Quiet()
		giveBack(shop, "order-1")
		shop.Flow("order-1").
			InOrder(orderevents.Completed{}, orderevents.Returned{Refund: 2990, Reason: "too small"}).
			Causes(orderevents.Returned{}, paymentevents.Refunded{Amount: 2990, Reason: paymentevents.ReasonReturned}).
			Golden(t, "goods-are-returned")
		wantStatus(t, shop, "order-1", order.StatusReturned)
		wantStock(t, shop, "MUG", 10)
	})
}

func TestGoodsAreReturnedWhateverHappens(t *testing.T) {
	explore(t, func(shop *app) {
		place(shop, "order-1", "MUG", 2)
		shop.Quiet()
		giveBack(shop, "order-1")
	})
}

// Goods that were bought elsewhere come back, too: a credit note is paid out and the goods are taken in, once, however
// often it is entered.
func TestACreditNoteIsPaidOut(t *testing.T) {
	run(t, func(shop *app) {
		credit := func(ctx context.Context, s shoptest.Shop) error {
			lines := []orderevents.Line{{SKU: "MUG", Quantity: 3, UnitPrice: 1000}, {SKU: "NEVER-SEEN", Quantity: 1, UnitPrice: 500}}
			_, err := s.Orders.Credit(ctx, order.New{ID: "credit-1", Lines: lines}, "bought elsewhere")
			return err
		}
		shop.Must("a credit note is entered", credit)
		shop.Must("and once more", credit)
		shop.Flow("credit-1").
			Exactly(orderevents.Returned{Credit: true, Refund: 3500}, paymentevents.Refunded{Amount: 3500}).
			Golden(t, "a-credit-note-is-paid-out")
		wantStock(t, shop, "MUG", 13)
	})
}
