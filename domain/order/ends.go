package order

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/troupebus/troupe/domain/order/orderevents"
)

// RequestCancel marks an open order for cancellation. RequestCancel reports false when the order was marked before.
// An order that has ended without such a request is ErrEnded.
func RequestCancel(ctx context.Context, tx SQL, id, reason string) (orderevents.CancelRequested, bool, error) {
	o, err := head(ctx, tx, id)
	if err == nil && !o.CancelRequested && o.Status != StatusPlaced {
		err = ended(o)
	}
	if err != nil || o.CancelRequested {
		return orderevents.CancelRequested{}, false, err
	}
	o.CancelRequested, o.Reason = true, reason
	if err := save(ctx, tx, o); err != nil {
		return orderevents.CancelRequested{}, false, err
	}
	return orderevents.CancelRequested{OrderID: id, Reason: reason}, true, nil
}

// Completion is the outcome of Complete. Returned is nil, except for an order that was dispatched despite a request
// to cancel: such an order is completed and returned at once.
type Completion struct {
	Completed orderevents.Completed
	Returned  *orderevents.Returned
}

// Complete ends an order whose goods have left. Complete reports false when the order was completed before. A
// cancelled order, or a credit note, is ErrEnded.
func Complete(ctx context.Context, tx SQL, id string) (Completion, bool, error) {
	o, err := head(ctx, tx, id)
	if err == nil && (o.Status == StatusCancelled || o.Credit) {
		err = ended(o)
	}
	if err != nil || o.Status != StatusPlaced {
		return Completion{}, false, err
	}
	c := Completion{Completed: orderevents.Completed{OrderID: id, CustomerID: o.CustomerID, Total: o.Total}}
	if o.CancelRequested {
		e, err := giveBack(ctx, tx, o)
		if err != nil {
			return Completion{}, false, err
		}
		c.Returned = &e
		return c, true, nil
	}
	o.Status = StatusCompleted
	if err := save(ctx, tx, o); err != nil {
		return Completion{}, false, err
	}
	return c, true, nil
}

// Cancel ends an order without a sale: no goods leave, no money is kept. Cancel reports false when the order was
// cancelled before. A completed or returned order is ErrEnded.
func Cancel(ctx context.Context, tx SQL, id, reason string) (orderevents.Cancelled, bool, error) {
	o, err := head(ctx, tx, id)
	if err == nil && (o.Status == StatusCompleted || o.Status == StatusReturned) {
		err = ended(o)
	}
	if err != nil || o.Status == StatusCancelled {
		return orderevents.Cancelled{}, false, err
	}
	o.Status, o.Reason = StatusCancelled, reason
	if err := save(ctx, tx, o); err != nil {
		return orderevents.Cancelled{}, false, err
	}
	return orderevents.Cancelled{OrderID: id, CustomerID: o.CustomerID, Reason: reason}, true, nil
}

// Return takes back all goods of a completed order. Return reports false when the order was returned before, also by
// a late cancel. An open or cancelled order is ErrNotCompleted.
func Return(ctx context.Context, tx SQL, id, reason string) (orderevents.Returned, bool, error) {
	o, err := head(ctx, tx, id)
	if err == nil && (o.Status == StatusPlaced || o.Status == StatusCancelled) {
		err = fmt.Errorf("%w: %s is %s", ErrNotCompleted, id, o.Status)
	}
	if err != nil || o.Status == StatusReturned {
		return orderevents.Returned{}, false, err
	}
	o.Reason = reason
	e, err := giveBack(ctx, tx, o)
	return e, err == nil, err
}

// ended returns an ErrEnded that names the order and the status.
func ended(o Order) error { return fmt.Errorf("%w: %s is %s", ErrEnded, o.ID, o.Status) }

// giveBack gives an order the status StatusReturned. The lines of o may be missing: giveBack reads them.
func giveBack(ctx context.Context, tx SQL, o Order) (orderevents.Returned, error) {
	whole, err := Get(ctx, tx, o.ID)
	if err != nil {
		return orderevents.Returned{}, err
	}
	o.Status = StatusReturned
	if err := save(ctx, tx, o); err != nil {
		return orderevents.Returned{}, err
	}
	return orderevents.Returned{OrderID: o.ID, Lines: whole.Lines, Refund: o.Total, Reason: o.Reason}, nil
}

const selectHead = `
SELECT customer_id, status, total, cancel_requested, credit, reason
FROM order_orders
WHERE id = ?`

// head reads an order without lines and charges, of which an order may have thousands. An unknown id is ErrNotFound.
func head(ctx context.Context, tx SQL, id string) (Order, error) {
	o := Order{ID: id}
	err := tx.QueryRowContext(ctx, selectHead, id).
		Scan(&o.CustomerID, &o.Status, &o.Total, &o.CancelRequested, &o.Credit, &o.Reason)
	if errors.Is(err, sql.ErrNoRows) {
		return Order{}, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	if err != nil {
		return Order{}, fmt.Errorf("read order %s: %w", id, err)
	}
	return o, nil
}

const updateOrder = `UPDATE order_orders SET status = ?2, cancel_requested = ?3, reason = ?4 WHERE id = ?1`

// save writes the columns that can change after an order was placed.
func save(ctx context.Context, tx SQL, o Order) error {
	if _, err := tx.ExecContext(ctx, updateOrder, o.ID, string(o.Status), o.CancelRequested, o.Reason); err != nil {
		return fmt.Errorf("write order %s: %w", o.ID, err)
	}
	return nil
}
