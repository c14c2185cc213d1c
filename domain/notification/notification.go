// Package notification tells each customer, once, how the order ended.
//
// The package imports the standard library and contracts only. Its functions run inside the caller's transaction on a
// database that has Schema, one goroutine at a time. After an error the transaction must be rolled back.
package notification

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"

	"github.com/troupebus/troupe/domain/order/orderevents"
)

// Schema holds the module's tables as numbered SQL files below schema/, to be applied in the order of their names.
//
//go:embed schema/*.sql
var Schema embed.FS

// The ways in which a request is refused.
var (
	ErrNotFound = errors.New("notification: nobody was told about the order")
	ErrConflict = errors.New("notification: another end of the order was told before")
)

// Kind is the end that a customer is told. Its values are stored.
type Kind string

// The kinds.
const (
	KindCompleted Kind = "completed"
	KindCancelled Kind = "cancelled"
)

// Notice is what a customer is told about an order. A guest has no CustomerID, and is told all the same.
type Notice struct {
	OrderID, CustomerID string
	Kind                Kind
	Text                string
}

// OfCompleted words the notice of an order that is on its way.
func OfCompleted(e orderevents.Completed) Notice {
	text := fmt.Sprintf("Your order %s over %d.%02d is on its way.", e.OrderID, e.Total/100, e.Total%100)
	return Notice{e.OrderID, e.CustomerID, KindCompleted, text}
}

// OfCancelled words the notice of an order that came to nothing.
func OfCancelled(e orderevents.Cancelled) Notice {
	text := fmt.Sprintf("Your order %s was cancelled: %s. You owe nothing.", e.OrderID, e.Reason)
	return Notice{e.OrderID, e.CustomerID, KindCancelled, text}
}

const insertNotice = `
INSERT INTO notification_notices (order_id, customer_id, kind, text) VALUES (?, ?, ?, ?)
ON CONFLICT (order_id) DO NOTHING`

// Tell gives a notice. It reports false when the same end of the order was told before, and ErrConflict when another one
// was: no order has two.
func Tell(ctx context.Context, tx *sql.Tx, n Notice) (bool, error) {
	res, err := tx.ExecContext(ctx, insertNotice, n.OrderID, n.CustomerID, string(n.Kind), n.Text)
	if err != nil {
		return false, fmt.Errorf("tell of order %s: %w", n.OrderID, err)
	}
	if added, err := res.RowsAffected(); err != nil || added == 1 {
		return err == nil, err
	}
	before, err := Get(ctx, tx, n.OrderID)
	if err == nil && before.Kind != n.Kind {
		err = fmt.Errorf("%w: %s was %s, now it is %s", ErrConflict, n.OrderID, before.Kind, n.Kind)
	}
	return false, err
}

const selectNotice = `SELECT customer_id, kind, text FROM notification_notices WHERE order_id = ?`

// Get reads the notice of an order, or answers ErrNotFound. A read-only transaction will do.
func Get(ctx context.Context, tx *sql.Tx, orderID string) (Notice, error) {
	n := Notice{OrderID: orderID}
	err := tx.QueryRowContext(ctx, selectNotice, orderID).Scan(&n.CustomerID, &n.Kind, &n.Text)
	if errors.Is(err, sql.ErrNoRows) {
		return Notice{}, fmt.Errorf("%w: %s", ErrNotFound, orderID)
	}
	if err != nil {
		return Notice{}, fmt.Errorf("read notice of order %s: %w", orderID, err)
	}
	return n, nil
}

// Fact is what an auditor needs to know of an order's notice. There is at most one per order: the table's key says so.
type Fact struct {
	OrderID string
	Kind    Kind
}

const eachNotice = `SELECT order_id, kind FROM notification_notices WHERE order_id > ?1 AND order_id <= ?2 ORDER BY order_id`

// Each hands every notice to visit, by order id, until it answers with an error, which Each returns. A read-only
// transaction will do; visit must not use it.
func Each(ctx context.Context, tx *sql.Tx, visit func(Fact) error) error {
	return EachBetween(ctx, tx, "", "", visit)
}

// EachBetween is Each for the ids behind after, up to upto: "" is the beginning, and the end.
func EachBetween(ctx context.Context, tx *sql.Tx, after, upto string, visit func(Fact) error) error {
	var last any = upto
	if upto == "" {
		last = []byte{} // SQLite sorts it behind every text
	}
	rows, err := tx.QueryContext(ctx, eachNotice, after, last)
	if err != nil {
		return fmt.Errorf("read notices: %w", err)
	}
	defer func() { _ = rows.Close() }() // what can fail is in rows.Err
	for rows.Next() {
		var f Fact
		if err := rows.Scan(&f.OrderID, &f.Kind); err != nil {
			return fmt.Errorf("read notices: %w", err)
		}
		if err := visit(f); err != nil {
			return err
		}
	}
	return rows.Err()
}
