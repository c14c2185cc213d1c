package shipping

import (
	"context"
	"database/sql"
	"fmt"
)

// Fact is what an auditor needs to know of an order's parcel.
type Fact struct {
	OrderID string
	Status  Status
}

const eachParcel = `SELECT order_id, status FROM shipping_parcels ORDER BY order_id`

// Each hands every parcel to visit, by order id, until it answers with an error, which Each returns. A read-only
// transaction will do; visit must not use it.
func Each(ctx context.Context, tx *sql.Tx, visit func(Fact) error) error {
	rows, err := tx.QueryContext(ctx, eachParcel)
	if err != nil {
		return fmt.Errorf("read parcels: %w", err)
	}
	defer func() { _ = rows.Close() }() // what can fail is in rows.Err
	for rows.Next() {
		var f Fact
		if err := rows.Scan(&f.OrderID, &f.Status); err != nil {
			return fmt.Errorf("read parcels: %w", err)
		}
		if err := visit(f); err != nil {
			return err
		}
	}
	return rows.Err()
}
