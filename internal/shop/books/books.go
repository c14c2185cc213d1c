// Package books audits the shop: the package compares the records of all modules, and reports each order that breaks
// a rule.
//
// The package reads every module through the module's own functions for auditors, in one transaction, so that all
// records are of the same instant. An audit writes nothing.
package books

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/notification"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/payment"
	"github.com/troupebus/troupe/domain/shipping"
)

// Report is the result of an audit. Amounts are in cents.
type Report struct {
	OK    bool      `json:"ok"`
	Wrong []Problem `json:"wrong"` // sorted by order, then by article; never nil

	Orders    int `json:"orders"` // all, with credit notes: the sum of the four below
	Completed int `json:"completed"`
	Cancelled int `json:"cancelled"`
	Returned  int `json:"returned"` // with credit notes
	Open      int `json:"open"`

	Partial int `json:"partial,omitempty"` // orders without an observed beginning; not part of any other count

	Charged  int64 `json:"charged_cents"`  // in total
	Refunded int64 `json:"refunded_cents"` // in total
	Sold     int64 `json:"sold_cents"`     // completed, unreturned orders less credit notes

	overflow bool // an amount could not be added: the totals are unknown
}

// Problem is a mistake in the books, in words for an operator. OrderID or SKU has the order or the article; both are
// empty for a mistake in the totals.
type Problem struct {
	OrderID string `json:"order_id,omitempty"`
	SKU     string `json:"sku,omitempty"`
	What    string `json:"what"`
}

// Verify audits a shop with all tables in the database of tx, which may be read-only. settled means that no event is
// left to handle: then every order must have ended, and every module must agree. Otherwise the orders must obey the
// rules that hold at every instant. An error is a failed read; mistakes in the books are in the report.
func Verify(ctx context.Context, tx bus.SQL, settled bool) (Report, error) {
	return VerifyAcross(ctx, func(string) bus.SQL { return tx }, settled)
}

// VerifyAcross is Verify for a shop with tables in several databases: tables returns the transaction for the tables
// of a module. Unless the shop is settled, the databases are read at different instants, and may disagree.
func VerifyAcross(ctx context.Context, tables func(module string) bus.SQL, settled bool) (Report, error) {
	l, err := read(ctx, tables, span{})
	if err != nil {
		return Report{}, fmt.Errorf("books: %w", err)
	}
	faults, err := inventory.Check(ctx, tables("inventory"))
	if err != nil {
		return Report{}, fmt.Errorf("books: %w", err)
	}
	r := Report{Wrong: []Problem{}}
	r.add(l, settled)
	for _, f := range faults {
		r.Wrong = append(r.Wrong, Problem{SKU: f.SKU, What: f.What})
	}
	if settled {
		r.Wrong = append(r.Wrong, r.totals()...)
	}
	r.OK = len(r.Wrong) == 0
	return r, nil
}

// add checks the orders of l, and adds them to the totals.
func (r *Report) add(l ledger, settled bool) {
	for _, id := range slices.Sorted(maps.Keys(l)) {
		r.count(id, l[id])
		for _, what := range l[id].problems(settled) {
			r.Wrong = append(r.Wrong, Problem{OrderID: id, What: what})
		}
	}
}

// totals returns the mistake in the totals, if any. Every order must have ended.
func (r *Report) totals() []Problem {
	kept, ok := add(r.Charged, -r.Refunded)
	if kept == r.Sold && ok || r.overflow {
		return nil
	}
	return []Problem{{What: fmt.Sprintf(
		"%s charged - %s refunded = %s, but the sold orders are worth %s", money(r.Charged), money(r.Refunded), money(kept), money(r.Sold))}}
}

// count adds an order to the totals. An amount that overflows is a problem, and makes the totals unknown.
func (r *Report) count(id string, e *entry) {
	plus := func(to *int64, amount int64, what string) {
		sum, ok := add(*to, amount)
		if ok {
			*to = sum
			return
		}
		r.overflow = true
		r.Wrong = append(r.Wrong, Problem{OrderID: id, What: fmt.Sprintf(
			"%s cannot be added to the total of %s %s: the sum overflows, so the totals are unknown", money(amount), money(*to), what)})
	}
	plus(&r.Charged, e.payment.Charged, "charged")
	plus(&r.Refunded, e.payment.Refunded, "refunded")
	if e.order.OrderID == "" {
		return
	}
	r.Orders++
	switch e.order.Status {
	case order.StatusPlaced:
		r.Open++
	case order.StatusCompleted:
		r.Completed++
		plus(&r.Sold, e.order.Total, "sold")
	case order.StatusCancelled:
		r.Cancelled++
	case order.StatusReturned:
		r.Returned++
		if e.order.Credit {
			plus(&r.Sold, -e.order.Total, "sold")
		}
	}
}

// entry has the records of all modules for an order id. A module without a record has a zero fact.
type entry struct {
	order   order.Fact
	goods   inventory.Fact
	payment payment.Fact
	parcel  shipping.Fact
	notice  notification.Fact
}

// ledger has every entry, by order id.
type ledger map[string]*entry

func (l ledger) at(id string) *entry {
	e := l[id]
	if e == nil {
		e = &entry{}
		l[id] = e
	}
	return e
}

// span is a part of the orders: the ids greater than after, up to and including upto. An empty after starts with the
// first id, an empty upto ends with the last.
type span struct{ after, upto string }

func read(ctx context.Context, tables func(module string) bus.SQL, s span) (ledger, error) {
	l := ledger{}
	if err := order.EachBetween(ctx, tables("order"), s.after, s.upto, func(f order.Fact) error { l.at(f.OrderID).order = f; return nil }); err != nil {
		return nil, err
	}
	if err := inventory.EachReservationBetween(ctx, tables("inventory"), s.after, s.upto, func(f inventory.Fact) error { l.at(f.OrderID).goods = f; return nil }); err != nil {
		return nil, err
	}
	if err := payment.EachBetween(ctx, tables("payment"), s.after, s.upto, func(f payment.Fact) error { l.at(f.OrderID).payment = f; return nil }); err != nil {
		return nil, err
	}
	if err := shipping.EachBetween(ctx, tables("shipping"), s.after, s.upto, func(f shipping.Fact) error { l.at(f.OrderID).parcel = f; return nil }); err != nil {
		return nil, err
	}
	if err := notification.EachBetween(ctx, tables("notification"), s.after, s.upto, func(f notification.Fact) error { l.at(f.OrderID).notice = f; return nil }); err != nil {
		return nil, err
	}
	return l, nil
}

// add returns the sum, and reports whether the sum fits in an int64.
func add(a, b int64) (int64, bool) {
	sum := a + b
	return sum, (sum > a) == (b > 0)
}

// money formats cents for people.
func money(cents int64) string {
	sign, n := "", uint64(cents)
	if cents < 0 {
		sign, n = "-", -n
	}
	return fmt.Sprintf("%s%d.%02d", sign, n/100, n%100)
}
