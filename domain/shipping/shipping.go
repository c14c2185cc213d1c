// Package shipping knows what became of each order's parcel.
//
// A paid order is dispatched, or it is undeliverable. Because the carrier is outside, this has three parts: Begin in a
// transaction, Carrier.Dispatch outside of any, RecordDispatched or RecordUndeliverable in another transaction. After a
// crash in between it begins again, and asks again under the same key. The package imports the standard library and
// contracts only.
//
// Its functions run inside the caller's transaction on a database that has Schema, one goroutine at a time. After an
// error the transaction must be rolled back. Each call is safe to repeat: what has happened already is reported with
// false and changes nothing.
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

// ErrConflict means that events contradict each other: trying again does not help.
var ErrConflict = errors.New("shipping: something else became of the order's parcel")

// Status is where a parcel stands. Its values are stored.
type Status string

// The statuses.
const (
	StatusStopped       Status = "stopped"     // cancelled before the dispatch began
	StatusDispatching   Status = "dispatching" // the carrier may have been asked; its answer is not recorded
	StatusDispatched    Status = "dispatched"
	StatusUndeliverable Status = "undeliverable"
)

// Step is what is to be done about a parcel.
type Step int

// The steps that Begin tells apart.
const (
	AskCarrier      Step = iota + 1 // Carrier.Dispatch, then RecordDispatched, or RecordUndeliverable for an *UndeliverableError
	AnswerCancelled                 // the order was cancelled: RecordUndeliverable with shippingevents.ReasonCancelled, nobody is asked
	AlreadyDone                     // the answer is recorded: nothing is to be done
)

const beginDispatch = `
INSERT INTO shipping_parcels (order_id, status) VALUES (?, 'dispatching')
ON CONFLICT (order_id) DO NOTHING`

// Begin says how to go about the dispatch of a paid order. It writes down, before the carrier is asked, that it may
// have been: otherwise a cancel that comes between a crash and the next attempt would hide a parcel that has left. So
// its transaction must be able to write, and be committed before Dispatch. It may be called again until an answer is
// recorded.
func Begin(ctx context.Context, tx *sql.Tx, orderID string) (Step, error) {
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

// Stop keeps the parcel of a cancelled order from leaving. It reports false when it comes too late: the dispatch has
// begun, and what the carrier does counts.
func Stop(ctx context.Context, tx *sql.Tx, orderID string) (bool, error) {
	return change(ctx, tx, stopDispatch, orderID)
}

const recordDispatched = `
INSERT INTO shipping_parcels (order_id, status, tracking) VALUES (?1, 'dispatched', ?2)
ON CONFLICT (order_id) DO UPDATE SET status = 'dispatched', tracking = ?2
WHERE status IN ('dispatching', 'stopped')`

// RecordDispatched records that the carrier has the parcel, also over Stop. It reports false when that was recorded
// before, and ErrConflict when the parcel was undeliverable.
func RecordDispatched(ctx context.Context, tx *sql.Tx, e shippingevents.Dispatched) (bool, error) {
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

// RecordUndeliverable records that no parcel will leave. It reports false when that was recorded before, and ErrConflict
// when the parcel was dispatched.
func RecordUndeliverable(ctx context.Context, tx *sql.Tx, e shippingevents.Undeliverable) (bool, error) {
	recorded, err := change(ctx, tx, recordUndeliverable, e.OrderID, e.Reason)
	if err == nil && !recorded {
		err = expect(ctx, tx, e.OrderID, StatusUndeliverable)
	}
	return recorded, err
}

// change runs a statement on the row of an order, its first argument, and reports whether it did anything.
func change(ctx context.Context, tx *sql.Tx, query, orderID string, args ...any) (bool, error) {
	res, err := tx.ExecContext(ctx, query, append([]any{orderID}, args...)...)
	if err != nil {
		return false, fmt.Errorf("change parcel of order %s: %w", orderID, err)
	}
	changed, err := res.RowsAffected()
	return changed == 1, err
}

// expect is nil when the parcel has the status already.
func expect(ctx context.Context, tx *sql.Tx, orderID string, wanted Status) error {
	status, err := statusOf(ctx, tx, orderID)
	if err == nil && status != wanted {
		err = fmt.Errorf("%w: that of %s is %s", ErrConflict, orderID, status)
	}
	return err
}

const selectStatus = `SELECT status FROM shipping_parcels WHERE order_id = ?`

// statusOf reads the status of a parcel that is known.
func statusOf(ctx context.Context, tx *sql.Tx, orderID string) (Status, error) {
	var status Status
	if err := tx.QueryRowContext(ctx, selectStatus, orderID).Scan(&status); err != nil {
		return "", fmt.Errorf("read parcel of order %s: %w", orderID, err)
	}
	return status, nil
}
