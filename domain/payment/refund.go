package payment

import (
	"context"
	"fmt"

	"github.com/troupebus/troupe/domain/payment/paymentevents"
)

// BeginRefund returns the amount that the customer of an order is owed: the whole charge. BeginRefund reports false
// when the charge was refunded before. An order without a charge is ErrNotCharged. BeginRefund writes nothing: Void
// does nothing to an order that is charged, so no cancel can come between.
func BeginRefund(ctx context.Context, tx SQL, orderID string) (amount int64, due bool, err error) {
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

// RecordRefund records the refund of the amount that BeginRefund returned. RecordRefund reports false when the refund
// was recorded before. An order without a charge is ErrNotCharged, another amount ErrConflict.
func RecordRefund(ctx context.Context, tx SQL, e paymentevents.Refunded) (bool, error) {
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

// RecordCredit records the payout of a credit note, which needs no Begin: nothing was charged under the id of a
// credit note. RecordCredit reports false when the payout was recorded before. If an order has the id, or the amount
// differs, the error is ErrConflict.
func RecordCredit(ctx context.Context, tx SQL, e paymentevents.Refunded) (bool, error) {
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
