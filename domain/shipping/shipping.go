// Package shipping keeps the parcel of each order.
//
// A paid order is dispatched or undeliverable. The carrier is an external system, so a dispatch has three parts:
// Begin in a transaction, Carrier.Dispatch outside of transactions, RecordDispatched or RecordUndeliverable in
// another transaction. After a crash in between, all three run again, with the same key. The package imports the
// standard library and contracts only.
//
// All functions run inside the caller's transaction, on a database with Schema, in one goroutine at a time. After an
// error, roll the transaction back. Every call is safe to repeat: a repeated call reports false and changes nothing.
package shipping

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"

	"github.com/troupebus/troupe/domain/shipping/shippingevents"
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

// ErrConflict means that events contradict each other: a retry does not help.
var ErrConflict = errors.New("shipping: contradicts the recorded parcel")

// Status is the state of a parcel. Statuses are stored.
type Status string

// The statuses.
const (
	StatusStopped       Status = "stopped"     // cancelled before the dispatch began
	StatusDispatching   Status = "dispatching" // the carrier may have been called; its answer is not recorded
	StatusDispatched    Status = "dispatched"
	StatusUndeliverable Status = "undeliverable"
)

// Step is the next step for a parcel.
type Step int

// The steps that Begin returns.
const (
	AskCarrier      Step = iota + 1 // Carrier.Dispatch, then RecordDispatched or RecordUndeliverable
	AnswerCancelled                 // no Dispatch: RecordUndeliverable with shippingevents.ReasonCancelled
	AlreadyDone                     // the answer is recorded: no further step
)

const beginDispatch = `
INSERT INTO shipping_parcels (order_id, status) VALUES (?, 'dispatching')
ON CONFLICT (order_id) DO NOTHING`

// Begin returns the next step for the dispatch of a paid order. Before the carrier is called, Begin records that a
// call may have happened: otherwise a cancel between a crash and the next attempt would hide a parcel that has left.
// So the transaction must be able to write, and must be committed before Dispatch. Begin may be called again until an
// answer is recorded.
func Begin(ctx context.Context, tx SQL, orderID string) (Step, error) {
	if begun, err := change(ctx, tx, beginDispatch, orderID); err != nil {
		return 0, err
	} else if begun {
		return AskCarrier, nil
	}
	status, err := statusOf(ctx, tx, orderID)
	if err != nil {
		return 0, err
	}
	switch status {
	case StatusDispatching:
		return AskCarrier, nil
	case StatusStopped:
		return AnswerCancelled, nil
	}
	return AlreadyDone, nil
}

const stopDispatch = `
INSERT INTO shipping_parcels (order_id, status) VALUES (?, 'stopped')
ON CONFLICT (order_id) DO NOTHING`

// Stop prevents the dispatch of a cancelled order. Stop reports false when the dispatch has begun: then the carrier's
// answer counts.
func Stop(ctx context.Context, tx SQL, orderID string) (bool, error) {
	return change(ctx, tx, stopDispatch, orderID)
}

const recordDispatched = `
INSERT INTO shipping_parcels (order_id, status, tracking) VALUES (?1, 'dispatched', ?2)
ON CONFLICT (order_id) DO UPDATE SET status = 'dispatched', tracking = ?2
WHERE status IN ('dispatching', 'stopped')`

// RecordDispatched records that the carrier has the parcel, also after Stop. RecordDispatched reports false when the
// dispatch was recorded before. If the parcel was undeliverable, the error is ErrConflict.
func RecordDispatched(ctx context.Context, tx SQL, e shippingevents.Dispatched) (bool, error) {
	recorded, err := change(ctx, tx, recordDispatched, e.OrderID, e.Tracking)
	if err == nil && !recorded {
		err = expect(ctx, tx, e.OrderID, StatusDispatched)
	}
	return recorded, err
}

const recordUndeliverable = `
INSERT INTO shipping_parcels (order_id, status, reason) VALUES (?1, 'undeliverable', ?2)
ON CONFLICT (order_id) DO UPDATE SET status = 'undeliverable', reason = ?2
WHERE status IN ('dispatching', 'stopped')`

// RecordUndeliverable records that no parcel will leave. RecordUndeliverable reports false when the same was recorded
// before. If the parcel was dispatched, the error is ErrConflict.
func RecordUndeliverable(ctx context.Context, tx SQL, e shippingevents.Undeliverable) (bool, error) {
	recorded, err := change(ctx, tx, recordUndeliverable, e.OrderID, e.Reason)
	if err == nil && !recorded {
		err = expect(ctx, tx, e.OrderID, StatusUndeliverable)
	}
	return recorded, err
}

// change runs a statement on the row of an order, and reports whether the row changed. orderID is the first argument
// of the statement.
func change(ctx context.Context, tx SQL, query, orderID string, args ...any) (bool, error) {
	res, err := tx.ExecContext(ctx, query, append([]any{orderID}, args...)...)
	if err != nil {
		return false, fmt.Errorf("change parcel of order %s: %w", orderID, err)
	}
	changed, err := res.RowsAffected()
	return changed == 1, err
}

// expect returns ErrConflict when the parcel has another status than wanted.
func expect(ctx context.Context, tx SQL, orderID string, wanted Status) error {
	status, err := statusOf(ctx, tx, orderID)
	if err == nil && status != wanted {
		err = fmt.Errorf("%w: the parcel of order %s is %s", ErrConflict, orderID, status)
	}
	return err
}

const selectStatus = `SELECT status FROM shipping_parcels WHERE order_id = ?`

// statusOf reads the status of a known parcel.
func statusOf(ctx context.Context, tx SQL, orderID string) (Status, error) {
	var status Status
	if err := tx.QueryRowContext(ctx, selectStatus, orderID).Scan(&status); err != nil {
		return "", fmt.Errorf("read parcel of order %s: %w", orderID, err)
	}
	return status, nil
}
