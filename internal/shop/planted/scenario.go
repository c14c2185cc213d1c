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

// act is a step of a client.
type act func(app *bustest.App[Shop])

// scenario returns a scenario of several steps, in order.
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
			_, _, err := s.Orders.Place(ctx, n, "")
			return err
		})
	}
}

// abandon requests to cancel an order. An order that has already ended is no error.
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

// bringBack waits until the system is quiet, and returns an order.
func bringBack(id string) act {
	return func(app *bustest.App[Shop]) {
		app.Quiet()
		app.Must("return "+id, func(ctx context.Context, s Shop) error {
			_, err := s.Orders.Return(ctx, id, "too small")
			return err
		})
	}
}

// later lets 50 ms pass. A failed handler is retried later than this, so the next step comes before the retry.
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
