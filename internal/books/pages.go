package books

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/order"
)

// pageOrders is how many orders are looked at in one transaction.
const pageOrders = 5000

// errPage ends the reading of ids where a page ends.
var errPage = errors.New("books: the page is full")

// VerifyInPages is Verify for a shop that goes on meanwhile, however many orders it has: some thousand orders are looked at in each
// transaction, which view runs fn in, and tells it whether all is settled at that instant. It reports whether it was each time.
func VerifyInPages(ctx context.Context, view View) (r Report, settled bool, err error) {
	return verifyInPages(ctx, view, pageOrders)
}

// View runs fn in a transaction, which may be read-only, and tells it whether no event is left to be reacted to.
type View func(fn func(tx *sql.Tx, settled bool) error) error

func verifyInPages(ctx context.Context, view View, size int) (r Report, settled bool, err error) {
	r, settled = Report{Wrong: []Problem{}}, true
	var sums Report // of the pages that were settled
	for s, more := (span{}), true; more; {
		err := view(func(tx *sql.Tx, quiet bool) error {
			if s.upto, err = pageEnd(ctx, tx, s.after, size); err != nil {
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

// pageEnd is the id of the last order of the page behind after: "" when all that are left fit into it.
func pageEnd(ctx context.Context, tx *sql.Tx, after string, size int) (end string, err error) {
	n := 0
	err = order.EachBetween(ctx, tx, after, "", func(f order.Fact) error {
		if n++; n > size {
			return errPage
		}
		end = f.OrderID
		return nil
	})
	if errors.Is(err, errPage) {
		return end, nil
	}
	return "", err
}
