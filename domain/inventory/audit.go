package inventory

import (
	"context"
	"database/sql"
	"fmt"
	"math"
)

// Fact is what an auditor needs to know of an order's goods.
type Fact struct {
	OrderID string
	State   State
	Credit  bool // they came in by a credit note
}

const eachReservation = `SELECT order_id, state, credit FROM inventory_reservations WHERE order_id > ?1 AND order_id <= ?2 ORDER BY order_id`

// EachReservation hands what became of every order's goods to visit, by order id, until it answers with an error, which
// EachReservation returns. A read-only transaction will do; visit must not use it.
func EachReservation(ctx context.Context, tx *sql.Tx, visit func(Fact) error) error {
	return EachReservationBetween(ctx, tx, "", "", visit)
}

// EachReservationBetween is EachReservation for the ids behind after, up to upto: "" is the beginning, and the end.
func EachReservationBetween(ctx context.Context, tx *sql.Tx, after, upto string, visit func(Fact) error) error {
	var last any = upto
	if upto == "" {
		last = []byte{} // SQLite sorts it behind every text
	}
	rows, err := tx.QueryContext(ctx, eachReservation, after, last)
	if err != nil {
		return fmt.Errorf("read reservations: %w", err)
	}
	defer func() { _ = rows.Close() }() // what can fail is in rows.Err
	for rows.Next() {
		var f Fact
		if err := rows.Scan(&f.OrderID, &f.State, &f.Credit); err != nil {
			return fmt.Errorf("read reservations: %w", err)
		}
		if err := visit(f); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Fault is what is wrong with the stock of one article.
type Fault struct{ SKU, What string }

// The counters of each article beside what the orders' lines add up to. Both halves in one grouping also find
// lines of an article that has no stock.
const selectCounters = `
SELECT sku, sum(known), sum(initial), sum(on_hand), sum(reserved), sum(shipped), sum(returned),
	sum(by_reserved), sum(by_shipped), sum(by_returned)
FROM (
	SELECT sku, 1 AS known, initial, on_hand, reserved, shipped, returned, 0 AS by_reserved, 0 AS by_shipped, 0 AS by_returned
	FROM inventory_stock
	UNION ALL
	SELECT l.sku, 0, 0, 0, 0, 0, 0,
		iif(r.state = 'reserved', l.quantity, 0),
		iif(r.state = 'shipped' OR r.state = 'returned' AND NOT r.credit, l.quantity, 0),
		iif(r.state = 'returned', l.quantity, 0)
	FROM inventory_lines l JOIN inventory_reservations r ON r.order_id = l.order_id
	WHERE r.state IN ('reserved', 'shipped', 'returned'))
GROUP BY sku
ORDER BY sku`

// Check returns what is wrong with the stock, by article: counters that do not balance, or that differ from what the orders
// add up to. It holds at every instant, and a read-only transaction will do.
func Check(ctx context.Context, tx *sql.Tx) ([]Fault, error) {
	rows, err := tx.QueryContext(ctx, selectCounters)
	if err != nil {
		return nil, fmt.Errorf("read stock: %w", err)
	}
	defer func() { _ = rows.Close() }() // what can fail is in rows.Err
	var faults []Fault
	for rows.Next() {
		var s, sums Stock
		var known bool
		if err := rows.Scan(&s.SKU, &known, &s.Initial, &s.OnHand, &s.Reserved, &s.Shipped, &s.Returned,
			&sums.Reserved, &sums.Shipped, &sums.Returned); err != nil {
			return nil, fmt.Errorf("read stock: %w", err)
		}
		if !known {
			faults = append(faults, Fault{s.SKU, "orders have goods of this article, but there is no stock of it"})
			continue
		}
		faults = append(faults, s.faults(sums)...)
	}
	return faults, rows.Err()
}

// faults compares the counters with each other, and with the sums over the orders.
func (s Stock) faults(sums Stock) []Fault {
	var faults []Fault
	if left, ok := s.left(); !ok || left != s.Initial {
		faults = append(faults, Fault{s.SKU, fmt.Sprintf("%d on hand + %d reserved + %d shipped - %d returned is not the initial %d",
			s.OnHand, s.Reserved, s.Shipped, s.Returned, s.Initial)})
	}
	for _, c := range []struct {
		name         string
		counted, sum int64
	}{{"reserved", s.Reserved, sums.Reserved}, {"shipped", s.Shipped, sums.Shipped}, {"returned", s.Returned, sums.Returned}} {
		if c.counted != c.sum {
			faults = append(faults, Fault{s.SKU, fmt.Sprintf("%d %s in stock, but the orders add up to %d", c.counted, c.name, c.sum)})
		}
	}
	return faults
}

// left is what on hand, reserved and shipped come to less what was returned. It reports false where that cannot be counted.
func (s Stock) left() (sum int64, ok bool) {
	for _, n := range []int64{s.OnHand, s.Reserved, s.Shipped, -s.Returned} {
		next := sum + n
		if (next > sum) != (n > 0) || n == math.MinInt64 {
			return 0, false
		}
		sum = next
	}
	return sum, true
}
