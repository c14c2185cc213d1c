package handlers_test

import (
	"testing"

	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/internal/shop/shoptest"
)

// Five processes, each with a module and a journal of its own, and a broker in between: what happens is what happens in one.
// The picture is the same file. All of them die in the middle, too.
func TestAnOrderIsDeliveredByFiveDeployables(t *testing.T) {
	t.Parallel()
	bustest.Run(t, shoptest.Spread(shoptest.Five, nil), func(shop *app) {
		open(shop)
		place(shop, "order-1", "MUG", 2)
		shop.Crash()
		shop.Flow("order-1").Golden(t, "an-order-is-delivered")
	})
}

// exploreFive is explore where each module is a process of its own: what one tells comes to the others in any order that the broker
// allows, twice, or late, and each of them dies by itself.
func exploreFive(t *testing.T, scenario func(shop *app)) {
	t.Parallel()
	bustest.Explore(t, shoptest.Spread(shoptest.Five, nil), bustest.Exploration{Schedules: schedules(t)}, func(shop *app) {
		open(shop)
		scenario(shop)
	})
}

// Payment hears of the cancel from order, and of the goods from inventory: nothing says which comes first.
func TestACustomerOfFiveDeployablesCancelsAtAnyMoment(t *testing.T) {
	exploreFive(t, func(shop *app) {
		place(shop, "order-1", "MUG", 2)
		cancel(shop, "order-1")
	})
}

func TestACardIsDeclinedInFiveDeployablesWhateverHappens(t *testing.T) {
	exploreFive(t, func(shop *app) { place(shop, "declined-1", "MUG", 2) })
}

func TestGoodsAreReturnedToFiveDeployablesWhateverHappens(t *testing.T) {
	exploreFive(t, func(shop *app) {
		place(shop, "order-1", "MUG", 2)
		shop.Quiet()
		giveBack(shop, "order-1")
	})
}

// All of them die at once and start anew, beside what each goes through by itself.
func TestFiveDeployablesDieWhateverHappens(t *testing.T) {
	exploreFive(t, func(shop *app) {
		place(shop, "undeliverable-1", "MUG", 2)
		shop.Crash()
		cancel(shop, "undeliverable-1")
		shop.Restart()
	})
}
