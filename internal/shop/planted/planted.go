// Package planted is the proof of the test kit: the shop with one reaction swapped for a wrong one, over and over, and a
// test that the kit finds each of these bugs, for the right reason and with a short story. They are the bugs that
// choreography is feared for: no module is wrong by itself, and no test of one module would show them.
//
// Nothing but tests uses it.
package planted

import (
	"context"
	"strings"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/payment"
	"github.com/troupebus/troupe/domain/shipping"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/shop/shoptest"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// Bug is a shop that is wrong in one place.
type Bug struct {
	Name string
	What string // what is wrong, and what it does to whom
	// Swap replaces reactions of the right shop by the name of their subscription, or adds some.
	Swap Swap
	// Gateway, when set, stands between the shop and the gateway.
	Gateway func(payment.Gateway) payment.Gateway
	// Place, when set, is how orders are placed instead.
	Place func(b *bus.Bus, right Orders) PlaceFunc
	// Apart has each module run in a deployable of its own. In one process, nothing is wrong.
	Apart bool
	// Scenario is what the clients do.
	Scenario Scenario
	// Wrong is part of what the kit must say.
	Wrong string
	// Needs are parts of the kit without any one of which the bug is not found.
	Needs bustest.Part
}

// Scenario is what the clients of a shop do.
type Scenario func(app *bustest.App[Shop])

// Swap are reactions by the name of their subscription.
type Swap map[string]Reaction

// Reaction puts one reaction on its module.
type Reaction func(m *bus.Module, o Outside)

// Outside is what reactions may call.
type Outside struct {
	Gateway payment.Gateway
	Carrier shipping.Carrier
	Mail    *bustest.Service
}

// Shop is what a scenario talks to. The right modules and the wrong ones look the same.
type Shop struct {
	Orders Orders
	Stock  Stock
}

// PlaceFunc is handlers.Orders.Place.
type PlaceFunc func(ctx context.Context, n order.New, r *order.Request) (id string, placed bool, err error)

// Orders is what *handlers.Orders offers.
type Orders interface {
	// Place takes an order, unless the request was made before.
	Place(ctx context.Context, n order.New, r *order.Request) (id string, placed bool, err error)
	// RequestCancel asks that an order be undone.
	RequestCancel(ctx context.Context, id, reason string) (fresh bool, err error)
	// Return takes back a completed order.
	Return(ctx context.Context, id, reason string) (fresh bool, err error)
}

// Stock is what *handlers.Stock offers.
type Stock interface {
	// Receive takes in deliveries, and returns how many of them are new.
	Receive(ctx context.Context, deliveries []handlers.Delivery) (fresh int, err error)
	// Get returns what is in stock of an article.
	Get(ctx context.Context, sku string) (inventory.Stock, error)
}

// System is the shop with the bug in it. The zero Bug is the right shop.
func (g Bug) System() bustest.System[Shop] {
	s := bustest.System[Shop]{Open: sqlitetest.Open, Wire: g.wire, Verify: shoptest.Verify}
	if g.Apart {
		s.Deployables = shoptest.Five
		s.Join = func(at func(module string) Shop) Shop {
			return Shop{Orders: at("order").Orders, Stock: at("inventory").Stock}
		}
	}
	return s
}

// parallel is how many calls to the outside a subscription makes at a time.
const parallel = 4

// wire puts the modules on b as they are in production, but for the reactions that are swapped.
func (g Bug) wire(b *bus.Bus, w *bustest.World) Shop {
	o := Outside{Gateway: shoptest.Gateway(w), Carrier: shoptest.Carrier(w), Mail: w.Service("mail")}
	if g.Gateway != nil {
		o.Gateway = g.Gateway(o.Gateway)
	}
	s := Shop{Orders: handlers.Order(b, g.swap("order", o)), Stock: handlers.Inventory(b, g.swap("inventory", o))}
	handlers.Payment(b, o.Gateway, parallel, g.swap("payment", o))
	handlers.Shipping(b, o.Carrier, parallel, g.swap("shipping", o))
	handlers.Notification(b, g.swap("notification", o))
	if g.Place != nil {
		s.Orders = clerk{s.Orders, g.Place(b, s.Orders)}
	}
	return s
}

// swap returns the reactions of a module that the bug replaces or adds.
func (g Bug) swap(module string, o Outside) handlers.Reactions {
	swap := handlers.Reactions{}
	for name, reaction := range g.Swap {
		if handler, ok := strings.CutPrefix(name, module+"/"); ok {
			swap[handler] = func(m *bus.Module, _ string) { reaction(m, o) }
		}
	}
	return swap
}

// clerk places orders in another way than the shop.
type clerk struct {
	Orders
	place PlaceFunc
}

// Place implements Orders.
func (c clerk) Place(ctx context.Context, n order.New, r *order.Request) (id string, placed bool, err error) {
	return c.place(ctx, n, r)
}
