package payment

import (
	"context"
	"database/sql"
	"fmt"
)

// Fact is what an auditor needs to know of an order's money, in cents.
type Fact struct {
	OrderID  string
	Status   Status
	Charged  int64 // ever, also what was refunded
	Refunded int64
	Credit   bool // refunded for a credit note
}

const eachPayment = `SELECT order_id, status, charged, refunded, credit FROM payment_payments WHERE order_id > ?1 AND order_id <= ?2 ORDER BY order_id`

// Each hands the money of every order to visit, by order id, until it answers with an error, which Each returns. A
// read-only transaction will do; visit must not use it.
func Each(ctx context.Context, tx *sql.Tx, visit func(Fact) error) error {
	return EachBetween(ctx, tx, "", "", visit)
}

// EachBetween is Each for the ids behind after, up to upto: "" is the beginning, and the end.
func EachBetween(ctx context.Context, tx *sql.Tx, after, upto string, visit func(Fact) error) error {
	var last any = upto
	if upto == "" {
		last = []byte{} // SQLite sorts it behind every text
	}
	rows, err := tx.QueryContext(ctx, eachPayment, after, last)
	if err != nil {
		return fmt.Errorf("read payments: %w", err)
	}
	defer func() { _ = rows.Close() }() // what can fail is in rows.Err
	for rows.Next() {
		var f Fact
		if err := rows.Scan(&f.OrderID, &f.Status, &f.Charged, &f.Refunded, &f.Credit); err != nil {
			return fmt.Errorf("read payments: %w", err)
		}
		if err := visit(f); err != nil {
			return err
		}
	}
	return rows.Err()
}
