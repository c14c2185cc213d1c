package books

import (
	"context"
	"fmt"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/order"
)

// pageOrders is the number of orders that a transaction reads.
const pageOrders = 5000

// VerifyInPages is Verify for a running shop with any number of orders. Each transaction, which view runs, reads some
// thousand orders. VerifyInPages reports whether the shop was settled in every transaction, and calls progress with
// the number of checked orders and of all orders.
func VerifyInPages(ctx context.Context, view View, progress func(done, of int)) (r Report, settled bool, err error) {
	return verifyInPages(ctx, view, pageOrders, progress)
}

// View runs fn in a transaction, which may be read-only. settled reports whether no event is left to handle.
type View func(fn func(tx bus.SQL, settled bool) error) error

func verifyInPages(
	ctx context.Context, view View, size int, progress func(done, of int),
) (r Report, settled bool, err error) {
	r, settled = Report{Wrong: []Problem{}}, true
	var sums Report // of the settled pages
	all := 0
	for s, more := (span{}), true; more; {
		err := view(func(tx bus.SQL, quiet bool) (err error) {
			if s.after == "" {
				if all, err = order.Count(ctx, tx); err != nil {
					return err
				}
			}
			progress(r.Orders, all)
			if s.upto, err = order.Nth(ctx, tx, s.after, size); err != nil {
				return err
			}
			l, err := read(ctx, func(string) bus.SQL { return tx }, s)
			if err != nil {
				return err
			}
			r.add(l, quiet)
			if settled = settled && quiet; quiet {
				for id, e := range l {
					sums.count(id, e)
				}
			}
			return nil
		})
		if err != nil {
			return Report{}, false, fmt.Errorf("books: %w", err)
		}
		s.after, more = s.upto, s.upto != ""
	}
	err = view(func(tx bus.SQL, _ bool) error {
		faults, err := inventory.Check(ctx, tx)
		for _, f := range faults {
			r.Wrong = append(r.Wrong, Problem{SKU: f.SKU, What: f.What})
		}
		return err
	})
	if err != nil {
		return Report{}, false, fmt.Errorf("books: %w", err)
	}
	r.Wrong = append(r.Wrong, sums.totals()...)
	r.OK = len(r.Wrong) == 0
	return r, settled, nil
}
