package shoptest

import (
	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
)

// One puts all modules in one deployable. Five gives each module a deployable of its own.
var (
	One  = [][]string{{"order", "inventory", "payment", "shipping", "notification"}}
	Five = [][]string{{"order"}, {"inventory"}, {"payment"}, {"shipping"}, {"notification"}}
)

// Spread returns the shop as several deployables over a transport, with the same modules, external services and
// books. A nil transport is the in-memory transport of the kit.
func Spread(deployables [][]string, transport func(group string) (bus.Transport, error)) bustest.System[Shop] {
	s := System()
	s.Deployables, s.Transport, s.Join = deployables, transport, Join
	return s
}

// Join returns the Shop of the deployables that run the order and inventory modules.
func Join(at func(module string) Shop) Shop {
	return Shop{Orders: at("order").Orders, Stock: at("inventory").Stock}
}
