package shoptest_test

import (
	"testing"

	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/internal/shop/shoptest"
)

func TestRace(t *testing.T) {
	bustest.Explore(t, shoptest.System(), bustest.Exploration{}, func(a *app) {
		stock(a)
		place(a, "order-1")
		cancel(a, "order-1")
	})
}
