// Package payment keeps the payment and the refund of each order.
//
// An order is charged once, in full, or declined. A charge is refunded at most once, in full. The gateway is an
// external system, so a charge or refund has three parts: Begin in a transaction, Send outside of transactions,
// Record in another transaction. After a crash in between, all three run again, with the same key. The package
// imports the standard library and contracts only.
//
// All functions run inside the caller's transaction, on a database with Schema, in one goroutine at a time. After an
// error, roll the transaction back. Every call is safe to repeat: a repeated call reports false and changes nothing.
// All amounts are in cents.
package payment

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"

	"github.com/troupebus/troupe/domain/payment/paymentevents"
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

// The reasons to refuse a request. Both mean that events contradict each other: a retry does not help.
var (
	ErrNotCharged = errors.New("payment: nothing was charged for the order")
	ErrConflict   = errors.New("payment: contradicts the recorded payment")
)

// Status is the state of an order's money. Statuses are stored.
type Status string

// The statuses.
const (
	StatusVoid     Status = "void"     // cancelled before the charge began
	StatusCharging Status = "charging" // the gateway may have been called; its answer is not recorded
	StatusCharged  Status = "charged"
	StatusDeclined Status = "declined"
	StatusRefunded Status = "refunded"
)

// Step is the next step of a charge.
type Step int

// The steps that BeginCharge returns.
const (
	AskGateway      Step = iota + 1 // Send the charge, then RecordCharge, or RecordDecline for a *DeclinedError
	AnswerCancelled                 // no Send: RecordDecline with paymentevents.ReasonCancelled
	AlreadyDone                     // the answer is recorded: no further step
)

const beginCharge = `
INSERT INTO payment_payments (order_id, status) VALUES (?, 'charging')
ON CONFLICT (order_id) DO NOTHING`

// BeginCharge returns the next step for the charge of an order. Before the gateway is called, BeginCharge records
// that a call may have happened: otherwise a cancel between a crash and the next attempt would hide a charge. So the
// transaction must be able to write, and must be committed before Send. BeginCharge may be called again until an
// answer is recorded.
func BeginCharge(ctx context.Context, tx SQL, orderID string) (Step, error) {
	if begun, err := change(ctx, tx, beginCharge, orderID); err != nil {
		return 0, err
	} else if begun {
		return AskGateway, nil
	}
	p, err := read(ctx, tx, orderID)
	if err != nil {
		return 0, err
	}
	switch p.status {
	case StatusCharging:
		return AskGateway, nil
	case StatusVoid:
		return AnswerCancelled, nil
	}
	return AlreadyDone, nil
}

const voidCharge = `
INSERT INTO payment_payments (order_id, status) VALUES (?, 'void')
ON CONFLICT (order_id) DO NOTHING`

// Void prevents the charge of a cancelled order. Void reports false when the charge has begun: then the gateway's
// answer counts.
func Void(ctx context.Context, tx SQL, orderID string) (bool, error) {
	return change(ctx, tx, voidCharge, orderID)
}

const recordCharge = `
INSERT INTO payment_payments (order_id, status, charged, charge_reference) VALUES (?1, 'charged', ?2, ?3)
ON CONFLICT (order_id) DO UPDATE SET status = 'charged', charged = ?2, charge_reference = ?3
WHERE status IN ('charging', 'void')`

// RecordCharge records the gateway's charge, also after Void. RecordCharge reports false when the charge was recorded
// before. If the order was declined, or charged with another amount, the error is ErrConflict.
func RecordCharge(ctx context.Context, tx SQL, e paymentevents.Charged) (bool, error) {
	recorded, err := change(ctx, tx, recordCharge, e.OrderID, e.Amount, e.Reference)
	if err != nil || recorded {
		return recorded, err
	}
	p, err := read(ctx, tx, e.OrderID)
	if err == nil && (p.status == StatusDeclined || p.credit || p.charged != e.Amount) {
		err = p.conflict(e.OrderID)
	}
	return false, err
}

const recordDecline = `
INSERT INTO payment_payments (order_id, status, reason) VALUES (?1, 'declined', ?2)
ON CONFLICT (order_id) DO UPDATE SET status = 'declined', reason = ?2
WHERE status IN ('charging', 'void')`

// RecordDecline records that the order will not be paid. RecordDecline reports false when a decline was recorded
// before. If the order was charged, the error is ErrConflict.
func RecordDecline(ctx context.Context, tx SQL, e paymentevents.Declined) (bool, error) {
	recorded, err := change(ctx, tx, recordDecline, e.OrderID, e.Reason)
	if err != nil || recorded {
		return recorded, err
	}
	p, err := read(ctx, tx, e.OrderID)
	if err == nil && p.status != StatusDeclined {
		err = p.conflict(e.OrderID)
	}
	return false, err
}

// change runs a statement on the row of an order, and reports whether the row changed. orderID is the first argument
// of the statement.
func change(ctx context.Context, tx SQL, query, orderID string, args ...any) (bool, error) {
	res, err := tx.ExecContext(ctx, query, append([]any{orderID}, args...)...)
	if err != nil {
		return false, fmt.Errorf("change payment of order %s: %w", orderID, err)
	}
	changed, err := res.RowsAffected()
	return changed == 1, err
}

// payment is the money of an order. An unknown order has the zero value.
type payment struct {
	status            Status
	charged, refunded int64
	credit            bool
}

const selectPayment = `SELECT status, charged, refunded, credit FROM payment_payments WHERE order_id = ?`

func read(ctx context.Context, tx SQL, orderID string) (payment, error) {
	var p payment
	err := tx.QueryRowContext(ctx, selectPayment, orderID).Scan(&p.status, &p.charged, &p.refunded, &p.credit)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return payment{}, fmt.Errorf("read payment of order %s: %w", orderID, err)
	}
	return p, nil
}

func (p payment) conflict(orderID string) error {
	return fmt.Errorf("%w: order %s is %s, with %d cents charged and %d refunded", ErrConflict, orderID, p.status, p.charged, p.refunded)
}
