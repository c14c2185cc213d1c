// Package planted tests the test kit. Each planted bug is the shop with a wrong reaction instead of a right one. The
// tests check that the kit finds each bug, for the right reason and with a short story. Choreography is feared for
// such bugs: each module is right by itself, and the test of a single module would not show the bug.
//
// Only tests import the package.
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

// Bug is a shop with a bug.
type Bug struct {
	Name    string
	Mistake string // the mistake and its effect
	// Swap replaces reactions of the right shop, or adds reactions, by the name of the subscription.
	Swap Swap
	// Gateway, when set, wraps the gateway that the shop calls.
	Gateway func(payment.Gateway) payment.Gateway
	// Place, when set, replaces the way in which orders are placed.
	Place func(b *bus.Bus, right Orders) PlaceFunc
	// Apart runs each module in a deployable of its own. In a single process the bug does not show.
	Apart bool
	// Scenario is the work of the clients.
	Scenario Scenario
	// Wrong is a part of the kit's report.
	Wrong string
	// Needs are parts of the kit: without any of them, the kit does not find the bug.
	Needs bustest.Part
}

// Scenario is the work of a shop's clients.
type Scenario func(app *bustest.App[Shop])

// Swap are reactions by the name of the subscription.
type Swap map[string]Reaction

// Reaction adds a reaction to its module.
type Reaction func(m *bus.Module, o Outside)

// Outside are the external services of reactions.
type Outside struct {
	Gateway payment.Gateway
	Carrier shipping.Carrier
	Mail    *bustest.Service
}

// Shop is the interface of the shop for a scenario, for right and wrong modules alike.
type Shop struct {
	Orders Orders
	Stock  Stock
}

// PlaceFunc is the type of handlers.Orders.Place.
type PlaceFunc func(ctx context.Context, n order.New, key string) (id string, placed bool, err error)

// Orders is the interface of *handlers.Orders.
type Orders interface {
	// Place places an order, unless the request was made before.
	Place(ctx context.Context, n order.New, key string) (id string, placed bool, err error)
	// RequestCancel marks an order for cancellation.
	RequestCancel(ctx context.Context, id, reason string) (fresh bool, err error)
	// Return takes back a completed order.
	Return(ctx context.Context, id, reason string) (fresh bool, err error)
}

// Stock is the interface of *handlers.Stock.
type Stock interface {
	// Receive adds deliveries, and returns the number of new articles.
	Receive(ctx context.Context, deliveries []handlers.Delivery) (fresh int, err error)
	// Get returns the stock of an article.
	Get(ctx context.Context, sku string) (inventory.Stock, error)
}

// System returns the shop with the bug. The zero Bug is the right shop.
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

// parallel is the number of calls that a subscription makes to an external service at the same time.
const parallel = 4

// wire wires the modules as in production, except for the replaced reactions.
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

// clerk replaces Place of Orders.
type clerk struct {
	Orders
	place PlaceFunc
}

// Place implements Orders.
func (c clerk) Place(ctx context.Context, n order.New, key string) (id string, placed bool, err error) {
	return c.place(ctx, n, key)
}
