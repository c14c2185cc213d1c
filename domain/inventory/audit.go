package inventory

import (
	"context"
	"fmt"
	"math"
)

// Fact is the reservation of an order as an auditor sees the reservation.
type Fact struct {
	OrderID string
	State   State
	Credit  bool // the goods of a credit note
}

const eachReservation = `SELECT order_id, state, credit FROM inventory_reservations WHERE order_id > ?1 AND order_id <= ?2 ORDER BY order_id`

// EachReservation calls visit for the reservation of every order, sorted by order id. When visit returns an error,
// EachReservation stops and returns the error. A read-only transaction suffices; visit must not use tx.
func EachReservation(ctx context.Context, tx SQL, visit func(Fact) error) error {
	return EachReservationBetween(ctx, tx, "", "", visit)
}

// EachReservationBetween is EachReservation for the ids greater than after, up to and including upto. An empty after
// starts with the first id, an empty upto ends with the last.
func EachReservationBetween(ctx context.Context, tx SQL, after, upto string, visit func(Fact) error) error {
	var last any = upto
	if upto == "" {
		last = []byte{} // SQLite sorts a blob after every text
	}
	rows, err := tx.QueryContext(ctx, eachReservation, after, last)
	if err != nil {
		return fmt.Errorf("read reservations: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has every error
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

// Fault is a mistake in the stock of an article.
type Fault struct{ SKU, What string }

// selectCounters returns the counters of each article beside the sums over the lines of the orders. UNION ALL, and
// not a join, also finds lines of an article without stock.
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

// Check returns the faults of the stock, sorted by article: counters that do not balance, or that differ from the
// sums over the orders. The stock has no faults between any two transactions. A read-only transaction suffices.
func Check(ctx context.Context, tx SQL) ([]Fault, error) {
	rows, err := tx.QueryContext(ctx, selectCounters)
	if err != nil {
		return nil, fmt.Errorf("read stock: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has every error
	var faults []Fault
	for rows.Next() {
		var s, sums Stock
		var known bool
		if err := rows.Scan(&s.SKU, &known, &s.Initial, &s.OnHand, &s.Reserved, &s.Shipped, &s.Returned,
			&sums.Reserved, &sums.Shipped, &sums.Returned); err != nil {
			return nil, fmt.Errorf("read stock: %w", err)
		}
		if !known {
			faults = append(faults, Fault{s.SKU, "orders have goods of the article, but the article has no stock"})
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

// left returns on hand + reserved + shipped - returned, and reports whether the sum fits in an int64.
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
