package payment

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/troupebus/troupe/domain/payment/paymentevents"
)

// BeginRefund says how much the customer of an order is to get back, which is all that was charged, and false when that was
// paid back already. ErrNotCharged means that nothing is owed. It only reads: no cancel can come between, because only
// what was charged is refunded.
func BeginRefund(ctx context.Context, tx *sql.Tx, orderID string) (amount int64, due bool, err error) {
	p, err := read(ctx, tx, orderID)
	switch {
	case err != nil:
		return 0, false, err
	case p.status == StatusCharged:
		return p.charged, true, nil
	case p.status == StatusRefunded && !p.credit:
		return 0, false, nil
	}
	return 0, false, fmt.Errorf("%w: %s", ErrNotCharged, orderID)
}

const recordRefund = `
UPDATE payment_payments SET status = 'refunded', refunded = charged, refund_reference = ?3, reason = ?4
WHERE order_id = ?1 AND status = 'charged' AND charged = ?2`

// RecordRefund records that a customer has back what BeginRefund named. It reports false when that was recorded before,
// ErrNotCharged when nothing was owed, and ErrConflict when it was another amount.
func RecordRefund(ctx context.Context, tx *sql.Tx, e paymentevents.Refunded) (bool, error) {
	recorded, err := change(ctx, tx, recordRefund, e.OrderID, e.Amount, e.Reference, e.Reason)
	if err != nil || recorded {
		return recorded, err
	}
	p, err := read(ctx, tx, e.OrderID)
	switch {
	case err != nil:
		return false, err
	case p.credit || p.status != StatusCharged && p.status != StatusRefunded:
		return false, fmt.Errorf("%w: %s", ErrNotCharged, e.OrderID)
	case p.charged != e.Amount:
		return false, p.conflict(e.OrderID)
	}
	return false, nil
}

const recordCredit = `
INSERT INTO payment_payments (order_id, status, credit, refunded, refund_reference, reason)
VALUES (?, 'refunded', 1, ?, ?, ?)
ON CONFLICT (order_id) DO NOTHING`

// RecordCredit records that a customer has the amount of a credit note, under whose id nothing was ever charged: nothing
// needs to be begun for it. It reports false when that was recorded before, and ErrConflict when the id is that of an
// order, or it was another amount.
func RecordCredit(ctx context.Context, tx *sql.Tx, e paymentevents.Refunded) (bool, error) {
	recorded, err := change(ctx, tx, recordCredit, e.OrderID, e.Amount, e.Reference, e.Reason)
	if err != nil || recorded {
		return recorded, err
	}
	p, err := read(ctx, tx, e.OrderID)
	if err == nil && (!p.credit || p.refunded != e.Amount) {
		err = p.conflict(e.OrderID)
	}
	return false, err
}
