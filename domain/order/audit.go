package order

import (
	"context"
	"fmt"
)

// Fact is an order, or a credit note, as an auditor sees the order.
type Fact struct {
	OrderID string
	Status  Status
	Total   int64 // in cents; a credit note's Total is the refund
	Credit  bool
}

const eachOrder = `SELECT id, status, total, credit FROM order_orders WHERE id > ?1 AND id <= ?2 ORDER BY id`

// Each calls visit for every order and credit note, sorted by id. When visit returns an error, Each stops and returns
// the error. A read-only transaction suffices; visit must not use tx.
func Each(ctx context.Context, tx SQL, visit func(Fact) error) error {
	return EachBetween(ctx, tx, "", "", visit)
}

// EachBetween is Each for the ids greater than after, up to and including upto. An empty after starts with the first
// id, an empty upto ends with the last.
func EachBetween(ctx context.Context, tx SQL, after, upto string, visit func(Fact) error) error {
	var last any = upto
	if upto == "" {
		last = []byte{} // SQLite sorts a blob after every text
	}
	rows, err := tx.QueryContext(ctx, eachOrder, after, last)
	if err != nil {
		return fmt.Errorf("read orders: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has every error
	for rows.Next() {
		var f Fact
		if err := rows.Scan(&f.OrderID, &f.Status, &f.Total, &f.Credit); err != nil {
			return fmt.Errorf("read orders: %w", err)
		}
		if err := visit(f); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Count returns the number of orders and credit notes.
func Count(ctx context.Context, tx SQL) (n int, err error) {
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM order_orders").Scan(&n); err != nil {
		return 0, fmt.Errorf("count orders: %w", err)
	}
	return n, nil
}

// Nth returns the id of the nth order or credit note after the id after. When fewer than n+1 ids follow after, Nth
// returns "".
func Nth(ctx context.Context, tx SQL, after string, n int) (id string, err error) {
	const nth = "SELECT id FROM order_orders WHERE id > ?1 ORDER BY id LIMIT 2 OFFSET ?2"
	rows, err := tx.QueryContext(ctx, nth, after, n-1)
	if err != nil {
		return "", fmt.Errorf("read orders: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has every error
	found := 0
	for ; rows.Next(); found++ {
		if found == 0 {
			err = rows.Scan(&id)
		}
		if err != nil {
			return "", fmt.Errorf("read orders: %w", err)
		}
	}
	if found < 2 {
		id = ""
	}
	return id, rows.Err()
}
