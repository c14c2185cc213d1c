package books

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/order"
)

// pageOrders is how many orders are looked at in one transaction.
const pageOrders = 5000

// VerifyInPages is Verify for a shop that goes on meanwhile, however many orders it has: some thousand orders are looked at in each
// transaction, which view runs fn in, and tells it whether all is settled at that instant. It reports whether it was each time, and
// calls progress with how many orders it has looked at, of how many.
func VerifyInPages(ctx context.Context, view View, progress func(done, of int)) (r Report, settled bool, err error) {
	return verifyInPages(ctx, view, pageOrders, progress)
}

// View runs fn in a transaction, which may be read-only, and tells it whether no event is left to be reacted to.
type View func(fn func(tx *sql.Tx, settled bool) error) error

func verifyInPages(ctx context.Context, view View, size int, progress func(done, of int)) (r Report, settled bool, err error) {
	r, settled = Report{Wrong: []Problem{}}, true
	var sums Report // of the pages that were settled
	all := 0
	for s, more := (span{}), true; more; {
		err := view(func(tx *sql.Tx, quiet bool) (err error) {
			if s.after == "" {
				if all, err = order.Count(ctx, tx); err != nil {
					return err
				}
			}
			progress(r.Orders, all)
			if s.upto, err = order.Nth(ctx, tx, s.after, size); err != nil {
				return err
			}
			l, err := read(ctx, func(string) *sql.Tx { return tx }, s)
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
	err = view(func(tx *sql.Tx, _ bool) error {
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
