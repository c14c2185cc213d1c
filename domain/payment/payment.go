// Package payment knows what each order's customer has paid and has got back.
//
// An order is charged once, in full, or declined; what was charged is refunded once, in full. Because the gateway is
// outside, a step has three parts: Begin in a transaction, Send outside of any, Record in another transaction. After a
// crash in between it begins again, and sends again under the same key. The package imports the standard library and
// contracts only.
//
// Its functions run inside the caller's transaction on a database that has Schema, one goroutine at a time. After an
// error the transaction must be rolled back. Each call is safe to repeat: what has happened already is reported with
// false and changes nothing. All amounts are in cents.
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

// The ways in which a request is refused. They mean that events contradict each other: trying again does not help.
var (
	ErrNotCharged = errors.New("payment: nothing was charged for the order")
	ErrConflict   = errors.New("payment: something else became of the order's money")
)

// Status is where an order's money stands. Its values are stored.
type Status string

// The statuses.
const (
	StatusVoid     Status = "void"     // cancelled before the charge began
	StatusCharging Status = "charging" // the gateway may have been asked; its answer is not recorded
	StatusCharged  Status = "charged"
	StatusDeclined Status = "declined"
	StatusRefunded Status = "refunded"
)

// Step is what is to be done about a charge.
type Step int

// The steps that BeginCharge tells apart.
const (
	AskGateway      Step = iota + 1 // Send the charge, then RecordCharge, or RecordDecline for a *DeclinedError
	AnswerCancelled                 // the order was cancelled: RecordDecline with paymentevents.ReasonCancelled, nothing is sent
	AlreadyDone                     // the answer is recorded: nothing is to be done
)

const beginCharge = `
INSERT INTO payment_payments (order_id, status) VALUES (?, 'charging')
ON CONFLICT (order_id) DO NOTHING`

// BeginCharge says how to go about the charge of an order. It writes down, before the gateway is asked, that it may
// have been: otherwise a cancel that comes between a crash and the next attempt would hide a charge that was made. So
// its transaction must be able to write, and be committed before Send. It may be called again until an answer is
// recorded.
func BeginCharge(ctx context.Context, tx *sql.Tx, orderID string) (Step, error) {
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

// Void keeps the charge of a cancelled order from being made. It reports false when it comes too late: the charge has
// begun, and what the gateway does counts.
func Void(ctx context.Context, tx *sql.Tx, orderID string) (bool, error) {
	return change(ctx, tx, voidCharge, orderID)
}

const recordCharge = `
INSERT INTO payment_payments (order_id, status, charged, charge_reference) VALUES (?1, 'charged', ?2, ?3)
ON CONFLICT (order_id) DO UPDATE SET status = 'charged', charged = ?2, charge_reference = ?3
WHERE status IN ('charging', 'void')`

// RecordCharge records what the gateway charged, also over Void. It reports false when that was recorded before, and
// ErrConflict when the order was declined or charged with another amount.
func RecordCharge(ctx context.Context, tx *sql.Tx, e paymentevents.Charged) (bool, error) {
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

// RecordDecline records that the order will not be paid. It reports false when that was recorded before, and ErrConflict
// when the order was charged.
func RecordDecline(ctx context.Context, tx *sql.Tx, e paymentevents.Declined) (bool, error) {
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

// change runs a statement on the row of an order, its first argument, and reports whether it did anything.
func change(ctx context.Context, tx *sql.Tx, query, orderID string, args ...any) (bool, error) {
	res, err := tx.ExecContext(ctx, query, append([]any{orderID}, args...)...)
	if err != nil {
		return false, fmt.Errorf("change payment of order %s: %w", orderID, err)
	}
	changed, err := res.RowsAffected()
	return changed == 1, err
}

// payment is the money of one order. Its zero value is that of an order never heard of.
type payment struct {
	status            Status
	charged, refunded int64
	credit            bool
}

const selectPayment = `SELECT status, charged, refunded, credit FROM payment_payments WHERE order_id = ?`

func read(ctx context.Context, tx *sql.Tx, orderID string) (payment, error) {
	var p payment
	err := tx.QueryRowContext(ctx, selectPayment, orderID).Scan(&p.status, &p.charged, &p.refunded, &p.credit)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return payment{}, fmt.Errorf("read payment of order %s: %w", orderID, err)
	}
	return p, nil
}

func (p payment) conflict(orderID string) error {
	return fmt.Errorf("%w: that of %s is %s, %d charged, %d refunded", ErrConflict, orderID, p.status, p.charged, p.refunded)
}
