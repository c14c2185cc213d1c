// Package order keeps the orders of customers, and the end of each order.
//
// An order is placed, then completed or cancelled; a completed order may be returned. A credit note starts as
// returned. The package imports the standard library and contracts only.
//
// All functions run inside the caller's transaction, on a database with Schema, in one goroutine at a time. A result
// beside false or an error is zero. After an error that is not an Err value of the package, roll the transaction
// back. Every call is safe to repeat: a repeated call reports false.
package order

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/troupebus/troupe/domain/order/orderevents"
)

// Schema holds the module's tables as numbered SQL files below schema/, to be applied in the order of their names.
//
//go:embed schema/*.sql
var Schema embed.FS

// SQL is the caller's transaction: a bus.SQL or a *sql.Tx.
type SQL interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) // changes rows
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) // reads rows
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row        // reads a row
}

// The reasons to refuse an order, or a request about an order. After a refusal nothing has changed.
var (
	ErrInvalid      = errors.New("order: invalid")                                       // wraps one error per problem
	ErrNotFound     = errors.New("order: not found")                                     // no order has the id
	ErrConflict     = errors.New("order: the id belongs to an order with other content") // from Place and Credit
	ErrEnded        = errors.New("order: has already ended")                             // too late to cancel or complete
	ErrNotCompleted = errors.New("order: not completed")                                 // only a completed order can be returned
)

// Status is the state of an order. Statuses are stored, and shown to users.
type Status string

// The statuses. An order that is not StatusPlaced has ended; StatusReturned follows StatusCompleted.
const (
	StatusPlaced    Status = "placed"
	StatusCompleted Status = "completed"
	StatusCancelled Status = "cancelled"
	StatusReturned  Status = "returned"
)

// Order is the present state of an order or a credit note.
type Order struct {
	ID              string
	CustomerID      string // empty for a guest
	Status          Status
	Lines           []orderevents.Line
	Charges         []orderevents.Charge
	Total           int64 // in cents, never below zero; a credit note's Total is the refund
	CancelRequested bool
	Credit          bool
	Reason          string // why the order is to be, or was, cancelled or returned
}

// New is an order, or a credit note, before it is placed. The caller chooses the id.
type New struct {
	ID         string
	CustomerID string // empty for a guest
	Lines      []orderevents.Line
	Charges    []orderevents.Charge
}

const insertOrder = `
INSERT INTO order_orders (id, customer_id, status, total, lines, charges, credit, reason)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING`

// Place accepts an order. Place reports false when the same order was placed before. If another order has the id, the
// error is ErrConflict; if the order breaks rules, ErrInvalid with all problems.
func Place(ctx context.Context, tx SQL, n New) (orderevents.Placed, bool, error) {
	o, fresh, err := insert(ctx, tx, n, Order{Status: StatusPlaced})
	if err != nil || !fresh {
		return orderevents.Placed{}, false, err
	}
	e := orderevents.Placed{OrderID: o.ID, CustomerID: o.CustomerID, Lines: o.Lines, Charges: o.Charges, Total: o.Total}
	return e, true, nil
}

// Credit adds a credit note for goods that were bought before the shop's books began. Lines and charges are the
// refund, with the signs of an order. Refusals and repeated calls are as with Place.
func Credit(ctx context.Context, tx SQL, n New, reason string) (orderevents.Returned, bool, error) {
	o, fresh, err := insert(ctx, tx, n, Order{Status: StatusReturned, Credit: true, Reason: reason})
	if err != nil || !fresh {
		return orderevents.Returned{}, false, err
	}
	return orderevents.Returned{OrderID: o.ID, Lines: o.Lines, Refund: o.Total, Reason: reason, Credit: true}, true, nil
}

// insert adds n with the status, credit and reason of o, unless the id is known.
func insert(ctx context.Context, tx SQL, n New, o Order) (Order, bool, error) {
	total, err := n.check()
	if err != nil {
		return Order{}, false, err
	}
	o.ID, o.CustomerID, o.Total = n.ID, n.CustomerID, total
	o.Lines = append([]orderevents.Line{}, n.Lines...) // [], not null
	o.Charges = append([]orderevents.Charge{}, n.Charges...)
	lines, charges, err := encode(o)
	if err != nil {
		return Order{}, false, err
	}
	res, err := tx.ExecContext(ctx, insertOrder, o.ID, o.CustomerID, string(o.Status), o.Total, lines, charges, o.Credit,
		o.Reason)
	if err != nil {
		return Order{}, false, fmt.Errorf("insert order %s: %w", o.ID, err)
	}
	if added, err := res.RowsAffected(); err != nil || added == 1 {
		return o, err == nil, err
	}
	return Order{}, false, sameAsBefore(ctx, tx, o)
}

// sameAsBefore returns ErrConflict when o differs from the stored order of the same id.
func sameAsBefore(ctx context.Context, tx SQL, o Order) error {
	before, err := Get(ctx, tx, o.ID)
	if err != nil {
		return err
	}
	lines, charges, err := encode(o)
	if err != nil {
		return err
	}
	linesBefore, chargesBefore, err := encode(before)
	if err != nil {
		return err
	}
	if o.CustomerID != before.CustomerID || o.Credit != before.Credit || lines != linesBefore || charges != chargesBefore {
		return fmt.Errorf("%w: %s", ErrConflict, o.ID)
	}
	return nil
}

func encode(o Order) (lines, charges string, err error) {
	l, err := json.Marshal(o.Lines)
	if err != nil {
		return "", "", fmt.Errorf("encode lines of order %s: %w", o.ID, err)
	}
	c, err := json.Marshal(o.Charges)
	if err != nil {
		return "", "", fmt.Errorf("encode charges of order %s: %w", o.ID, err)
	}
	return string(l), string(c), nil
}

const selectOrder = `
SELECT customer_id, status, total, lines, charges, cancel_requested, credit, reason
FROM order_orders
WHERE id = ?`

// Get reads an order or credit note. An unknown id is ErrNotFound. A read-only transaction suffices.
func Get(ctx context.Context, tx SQL, id string) (Order, error) {
	o := Order{ID: id}
	var lines, charges []byte
	err := tx.QueryRowContext(ctx, selectOrder, id).
		Scan(&o.CustomerID, &o.Status, &o.Total, &lines, &charges, &o.CancelRequested, &o.Credit, &o.Reason)
	if errors.Is(err, sql.ErrNoRows) {
		return Order{}, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	if err != nil {
		return Order{}, fmt.Errorf("read order %s: %w", id, err)
	}
	if err := errors.Join(json.Unmarshal(lines, &o.Lines), json.Unmarshal(charges, &o.Charges)); err != nil {
		return Order{}, fmt.Errorf("decode order %s: %w", id, err)
	}
	return o, nil
}
