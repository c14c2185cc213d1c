package shoptest

import (
	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
)

// One is the shop's modules in one deployable, Five each in one of its own.
var (
	One  = [][]string{{"order", "inventory", "payment", "shipping", "notification"}}
	Five = [][]string{{"order"}, {"inventory"}, {"payment"}, {"shipping"}, {"notification"}}
)

// Spread is the shop as several deployables over a transport, or over the kit's own where that is nil: the same modules, the same
// outside, the same books.
func Spread(deployables [][]string, transport func(group string) (bus.Transport, error)) bustest.System[Shop] {
	s := System()
	s.Deployables, s.Transport, s.Join = deployables, transport, Join
	return s
}

// Join makes a Shop of those of the deployables that run its modules.
func Join(at func(module string) Shop) Shop {
	return Shop{Orders: at("order").Orders, Stock: at("inventory").Stock}
}
