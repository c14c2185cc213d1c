package books

import (
	"context"
	"fmt"
	"time"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/bus"
)

// Tables is VerifyAcross for the command verify.
func Tables(ctx context.Context, tables func(module string) bus.SQL, settled bool) (troupe.Report, error) {
	r, err := VerifyAcross(ctx, tables, settled)
	return r.program(), err
}

// Pages is VerifyInPages for the command verify.
func Pages(
	ctx context.Context, look func(func(tx bus.SQL, settled bool) error) error, progress func(done, of int),
) (troupe.Report, bool, error) {
	r, settled, err := VerifyInPages(ctx, look, progress)
	return r.program(), settled, err
}

// Observe is NewObserved for the command verify.
func Observe(before time.Time) troupe.Observer { return observer{NewObserved(before)} }

type observer struct{ *Observed }

// Report implements troupe.Observer.
func (o observer) Report() (troupe.Report, bool) {
	r, ended := o.Observed.Report()
	return r.program(), ended
}

// program returns r as a report for the command verify.
func (r Report) program() troupe.Report {
	p := troupe.Report{Data: r, Lines: []string{
		fmt.Sprintf("%d orders: %d completed, %d cancelled, %d returned, %d open", r.Orders, r.Completed, r.Cancelled, r.Returned, r.Open),
		fmt.Sprintf("charged %s, refunded %s, sold for %s", money(r.Charged), money(r.Refunded), money(r.Sold)),
	}}
	if r.Partial > 0 {
		p.Lines = append(p.Lines, fmt.Sprintf("%d orders are not checked: they began before the observer", r.Partial))
	}
	for _, w := range r.Wrong {
		p.Wrong = append(p.Wrong, w.String())
	}
	return p
}

// String returns the problem, with the order or the article.
func (p Problem) String() string {
	switch {
	case p.OrderID != "":
		return "order " + p.OrderID + ": " + p.What
	case p.SKU != "":
		return "article " + p.SKU + ": " + p.What
	}
	return p.What
}
