package handlers_test

import (
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/internal/shop/shoptest"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// exploreAll is explore with everything that the kit can do to a system: the clock is set, work shares commits, and people and other
// programs act between any two steps. A schedule takes some ten times as long as others: there are fewer.
func exploreAll(t *testing.T, sys bustest.System[shoptest.Shop], scenario func(shop *app)) {
	t.Parallel()
	x := bustest.Exploration{Schedules: schedules(t) / 4, With: bustest.Optional}
	bustest.Explore(t, sys, x, func(shop *app) {
		open(shop)
		shop.Beside("a person's retry of charges", sqlitetest.Retry("payment/charge"))
		shop.Beside("a person's retry of parcels", sqlitetest.Retry("shipping/dispatch"))
		shop.Beside("a person's replay", sqlitetest.Replay("inventory/reserve-stock"))
		shop.Beside("the accountant's table", sqlitetest.Write("order", "CREATE TABLE IF NOT EXISTS accounts (n INTEGER)"))
		scenario(shop)
		shop.Advance(time.Hour)
	})
}

func busy(shop *app) {
	place(shop, "order-1", "MUG", 2)
	place(shop, "undeliverable-1", "MUG", 1)
	cancel(shop, "order-1")
}

func TestOthersActWhateverHappens(t *testing.T) { exploreAll(t, shoptest.System(), busy) }

func TestOthersActInFiveDeployablesWhateverHappens(t *testing.T) {
	exploreAll(t, shoptest.Spread(shoptest.Five, nil), func(shop *app) {
		shop.WhileStopped("a person's resend", sqlitetest.Resend("order"))
		busy(shop)
	})
}
