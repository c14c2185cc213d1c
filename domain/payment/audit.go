package payment

import (
	"context"
	"fmt"
)

// Fact is the money of an order as an auditor sees the order, in cents.
type Fact struct {
	OrderID  string
	Status   Status
	Charged  int64 // in total; a refund does not reduce Charged
	Refunded int64
	Credit   bool // refunded for a credit note
}

const eachPayment = `SELECT order_id, status, charged, refunded, credit FROM payment_payments WHERE order_id > ?1 AND order_id <= ?2 ORDER BY order_id`

// Each calls visit for the money of every order, sorted by order id. When visit returns an error, Each stops and
// returns the error. A read-only transaction suffices; visit must not use tx.
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
	rows, err := tx.QueryContext(ctx, eachPayment, after, last)
	if err != nil {
		return fmt.Errorf("read payments: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has every error
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
