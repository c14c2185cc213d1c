// Package shoptest runs the shop in bustest: the five modules, with a gateway and a carrier that remember every call,
// and with books that must balance at the end of every run.
package shoptest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/domain/payment"
	"github.com/troupebus/troupe/domain/shipping"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/shop/books"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// parallel is the number of calls that a subscription makes to an external service at the same time.
const parallel = 4

// Shop is the interface of the shop for tests.
type Shop struct {
	Orders *handlers.Orders
	Stock  *handlers.Stock
}

// System returns the shop. The external services go by the id of an order: the charge of an id with "declined" is
// declined, the parcel of an id with "undeliverable" is undeliverable. A dead letter follows the eighth failure.
func System() bustest.System[Shop] {
	return bustest.System[Shop]{
		Open: sqlitetest.Open, Wire: Wire, Verify: Verify, Config: bus.Config{ExternalRetry: bus.Retry{Attempts: 8}},
	}
}

// Wire puts the five modules on b.
func Wire(b *bus.Bus, w *bustest.World) Shop {
	s := Shop{Orders: handlers.Order(b), Stock: handlers.Inventory(b)}
	handlers.Payment(b, Gateway(w), parallel)
	handlers.Shipping(b, Carrier(w), parallel)
	handlers.Notification(b)
	return s
}

// Receive adds the first delivery of an article.
func (s Shop) Receive(ctx context.Context, sku string, quantity int64) error {
	_, err := s.Stock.Receive(ctx, []handlers.Delivery{{SKU: sku, Quantity: quantity}})
	return err
}

// Place orders quantity pieces of sku for 12.50 each, and 4.90 postage.
func (s Shop) Place(ctx context.Context, id, sku string, quantity int64) error {
	_, _, err := s.Orders.Place(ctx, order.New{
		ID: id, CustomerID: "c-" + id, Lines: []orderevents.Line{{SKU: sku, Quantity: quantity, UnitPrice: 1250}},
		Charges: []orderevents.Charge{{Code: "POST", Amount: 490}},
	}, "")
	return err
}

// Cancel requests to cancel an order. An order that has already ended is no error.
func (s Shop) Cancel(ctx context.Context, id string) error {
	return unlessEnded(s.Orders.RequestCancel(ctx, id, "changed my mind"))
}

// Return takes back a completed order.
func (s Shop) Return(ctx context.Context, id string) error {
	_, err := s.Orders.Return(ctx, id, "too small")
	return err
}

// Gateway returns the payment gateway of w.
func Gateway(w *bustest.World) payment.Gateway { return gateway{w.Service("gateway")} }

type gateway struct{ s *bustest.Service }

// Charge implements payment.Gateway.
func (g gateway) Charge(ctx context.Context, c payment.Charge) (payment.Receipt, error) {
	return bustest.Ask(ctx, g.s, bustest.Request{Op: "charge", Key: c.Key, Body: c}, func() (payment.Receipt, error) {
		if strings.Contains(c.OrderID, "declined") {
			return payment.Receipt{}, &payment.DeclinedError{Reason: "no funds"}
		}
		return payment.Receipt{Reference: "charge of " + c.OrderID}, nil
	})
}

// Refund implements payment.Gateway.
func (g gateway) Refund(ctx context.Context, r payment.Refund) (payment.Receipt, error) {
	return bustest.Ask(ctx, g.s, bustest.Request{Op: "refund", Key: r.Key, Body: r}, func() (payment.Receipt, error) {
		return payment.Receipt{Reference: "refund of " + r.OrderID}, nil
	})
}

// Carrier returns the carrier of w.
func Carrier(w *bustest.World) shipping.Carrier { return carrier{w.Service("carrier")} }

type carrier struct{ s *bustest.Service }

// Dispatch implements shipping.Carrier.
func (c carrier) Dispatch(ctx context.Context, p shipping.Parcel) (shipping.Label, error) {
	return bustest.Ask(ctx, c.s, bustest.Request{Op: "dispatch", Key: p.Key, Body: p}, func() (shipping.Label, error) {
		if strings.Contains(p.OrderID, "undeliverable") {
			return shipping.Label{}, &shipping.UndeliverableError{Reason: "unknown street"}
		}
		return shipping.Label{Tracking: "parcel of " + p.OrderID}, nil
	})
}

// Verify audits the shop, and compares the books with the calls that the gateway and the carrier have answered.
func Verify(ctx context.Context, tables func(module string) bus.SQL, w *bustest.World) ([]string, error) {
	r, err := books.VerifyAcross(ctx, tables, true)
	if err != nil {
		return nil, err
	}
	var wrong []string
	for _, p := range r.Wrong {
		wrong = append(wrong, "books: "+strings.TrimSpace(fmt.Sprint(p.OrderID, p.SKU, " ", p.What)))
	}
	var charged, refunded int64
	for _, c := range w.Service("gateway").Done("charge") {
		charged += c.Body.(payment.Charge).Amount
	}
	for _, c := range w.Service("gateway").Done("refund") {
		refunded += c.Body.(payment.Refund).Amount
	}
	if charged != r.Charged || refunded != r.Refunded {
		wrong = append(wrong, fmt.Sprintf("books: the gateway has charged %d and refunded %d, the shop %d and %d", charged, refunded, r.Charged, r.Refunded))
	}
	return append(wrong, carried(ctx, tables("shipping"), w)...), nil
}

// carried compares the parcels that the carrier took with the dispatched orders.
func carried(ctx context.Context, tx bus.SQL, w *bustest.World) (wrong []string) {
	taken := map[string]int{}
	for _, c := range w.Service("carrier").Done("dispatch") {
		taken[c.Body.(shipping.Parcel).OrderID]++
	}
	err := shipping.Each(ctx, tx, func(f shipping.Fact) error {
		want := 0
		if f.Status == shipping.StatusDispatched {
			want = 1
		}
		if n := taken[f.OrderID]; n != want {
			wrong = append(wrong, fmt.Sprintf("books: the carrier took %d parcels of %s, which is %s", n, f.OrderID, f.Status))
		}
		return nil
	})
	if err != nil {
		wrong = append(wrong, fmt.Sprintf("books: read the parcels: %v", err))
	}
	return wrong
}

func unlessEnded(_ bool, err error) error {
	if errors.Is(err, order.ErrEnded) {
		return nil
	}
	return err
}
