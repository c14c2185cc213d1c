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

const eachOrder = `SELECT id, status, total, credit FROM order_orders ORDER BY id`

// Each hands every order and credit note to visit, by id, until it answers with an error, which Each returns. A read-only
// transaction will do; visit must not use it.
func Each(ctx context.Context, tx *sql.Tx, visit func(Fact) error) error {
	rows, err := tx.QueryContext(ctx, eachOrder)
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
