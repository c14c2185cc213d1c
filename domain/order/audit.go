package order

import (
	"context"
	"database/sql"
	"fmt"
)

// Fact is what an auditor needs to know of an order.
type Fact struct {
	OrderID string
	Status  Status
	Total   int64 // in cents; of a credit note: what it gives back
	Credit  bool
}

const eachOrder = `SELECT id, status, total, credit FROM order_orders WHERE id > ?1 AND id <= ?2 ORDER BY id`

// Each hands every order and credit note to visit, by id, until it answers with an error, which Each returns. A read-only
// transaction will do; visit must not use it.
func Each(ctx context.Context, tx *sql.Tx, visit func(Fact) error) error {
	return EachBetween(ctx, tx, "", "", visit)
}

// EachBetween is Each for the ids behind after, up to upto: "" is the beginning, and the end.
func EachBetween(ctx context.Context, tx *sql.Tx, after, upto string, visit func(Fact) error) error {
	var last any = upto
	if upto == "" {
		last = []byte{} // SQLite sorts it behind every text
	}
	rows, err := tx.QueryContext(ctx, eachOrder, after, last)
	if err != nil {
		return fmt.Errorf("read orders: %w", err)
	}
	defer func() { _ = rows.Close() }() // what can fail is in rows.Err
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

// Count is how many orders and credit notes there are.
func Count(ctx context.Context, tx *sql.Tx) (n int, err error) {
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM order_orders").Scan(&n); err != nil {
		return 0, fmt.Errorf("count orders: %w", err)
	}
	return n, nil
}

// Nth is the id of the nth order or credit note behind the id after, or "" where there are no more than that.
func Nth(ctx context.Context, tx *sql.Tx, after string, n int) (id string, err error) {
	const nth = "SELECT id FROM order_orders WHERE id > ?1 ORDER BY id LIMIT 2 OFFSET ?2"
	rows, err := tx.QueryContext(ctx, nth, after, n-1)
	if err != nil {
		return "", fmt.Errorf("read orders: %w", err)
	}
	defer func() { _ = rows.Close() }() // what can fail is in rows.Err
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
