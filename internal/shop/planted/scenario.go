package planted

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/handlers"
)

// act is something that a client does.
type act func(app *bustest.App[Shop])

// scenario is clients that do one thing after the other.
func scenario(acts ...act) Scenario {
	return func(app *bustest.App[Shop]) {
		for _, a := range acts {
			a(app)
		}
	}
}

// place orders quantity pieces of each article for 12.50 each, and 4.90 postage. Ten mugs are delivered first.
func place(id string, quantity int64, skus ...string) act {
	return func(app *bustest.App[Shop]) {
		app.Must("stock", func(ctx context.Context, s Shop) error {
			_, err := s.Stock.Receive(ctx, []handlers.Delivery{{SKU: "MUG", Quantity: 10}})
			return err
		})
		n := order.New{ID: id, CustomerID: "c-" + id, Charges: []orderevents.Charge{{Code: "POST", Amount: 490}}}
		for _, sku := range skus {
			n.Lines = append(n.Lines, orderevents.Line{SKU: sku, Quantity: quantity, UnitPrice: 1250})
		}
		app.Must("place "+id, func(ctx context.Context, s Shop) error {
			_, _, err := s.Orders.Place(ctx, n, nil)
			return err
		})
	}
}

// abandon asks that an order be undone. That it has ended already is no error.
func abandon(id string) act {
	return func(app *bustest.App[Shop]) {
		app.Must("cancel "+id, func(ctx context.Context, s Shop) error {
			_, err := s.Orders.RequestCancel(ctx, id, "changed my mind")
			if errors.Is(err, order.ErrEnded) {
				return nil
			}
			return err
		})
	}
}

// bringBack returns an order when everything has happened to it.
func bringBack(id string) act {
	return func(app *bustest.App[Shop]) {
		app.Quiet()
		app.Must("return "+id, func(ctx context.Context, s Shop) error {
			_, err := s.Orders.Return(ctx, id, "too small")
			return err
		})
	}
}

// later lets a moment pass: less than until something that failed is tried again, so that what comes next comes in between.
func later(app *bustest.App[Shop]) { app.Advance(50 * time.Millisecond) }

// sold checks at the end how many mugs have left.
func sold(want int64) act {
	return func(app *bustest.App[Shop]) {
		app.Quiet()
		app.Must("count", func(ctx context.Context, s Shop) error {
			got, err := s.Stock.Get(ctx, "MUG")
			if err == nil && got.Shipped != want {
				err = fmt.Errorf("%d mugs have left, %d were ordered", got.Shipped, want)
			}
			return err
		})
	}
}

// The scenarios that most bugs share.
var (
	plain     = scenario(place("order-1", 2, "MUG"))
	hesitant  = scenario(place("order-1", 2, "MUG"), later, abandon("order-1"))
	regretted = scenario(place("order-1", 2, "MUG"), abandon("order-1"))
	returned  = scenario(place("order-1", 2, "MUG"), bringBack("order-1"))
)
