package handlers_test

import (
	"sync"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/internal/shoptest"
)

// Five processes, each with a module and a journal of its own, and a broker in between: what happens is what happens in one.
// The picture is the same file. All of them die in the middle, too.
func TestAnOrderIsDeliveredByFiveDeployables(t *testing.T) {
	t.Parallel()
	broker := sync.OnceValue(bustest.NewBroker) // made by who asks first, in the test's own time
	sys := shoptest.Spread(shoptest.Five, func(group string) (bus.Transport, error) { return broker().Transport(group), nil })
	bustest.Run(t, sys, func(shop *app) {
		open(shop)
		place(shop, "order-1", "MUG", 2)
		shop.Crash()
		shop.Flow("order-1").Golden(t, "an-order-is-delivered")
	})
}
