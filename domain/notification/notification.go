// Package notification notifies each customer, once, of the end of an order.
//
// The package imports the standard library and contracts only. All functions run inside the caller's transaction, on
// a database with Schema, in one goroutine at a time. After an error, roll the transaction back.
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

// SQL is the caller's transaction: a bus.SQL or a *sql.Tx.
type SQL interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) // changes rows
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) // reads rows
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row        // reads a row
}

// The errors of the package, each wrapped with the order's id.
var (
	ErrNotFound = errors.New("notification: no notice was sent for the order")
	ErrConflict = errors.New("notification: a notice of another end was sent before")
)

// Kind is the end of an order. Kinds are stored.
type Kind string

// The kinds.
const (
	KindCompleted Kind = "completed"
	KindCancelled Kind = "cancelled"
)

// Notice is a message to a customer about an order. A guest has no CustomerID, and gets a notice as well.
type Notice struct {
	OrderID, CustomerID string
	Kind                Kind
	Text                string
}

// OfCompleted returns the notice for a completed order.
func OfCompleted(e orderevents.Completed) Notice {
	text := fmt.Sprintf("Your order %s over %d.%02d is on its way.", e.OrderID, e.Total/100, e.Total%100)
	return Notice{e.OrderID, e.CustomerID, KindCompleted, text}
}

// OfCancelled returns the notice for a cancelled order.
func OfCancelled(e orderevents.Cancelled) Notice {
	text := fmt.Sprintf("Your order %s was cancelled: %s. You owe nothing.", e.OrderID, e.Reason)
	return Notice{e.OrderID, e.CustomerID, KindCancelled, text}
}

const insertNotice = `
INSERT INTO notification_notices (order_id, customer_id, kind, text) VALUES (?, ?, ?, ?)
ON CONFLICT (order_id) DO NOTHING`

// Notify stores a notice. Notify reports false when a notice of the same end was stored before. A notice of another end
// is ErrConflict: an order ends once.
func Notify(ctx context.Context, tx SQL, n Notice) (bool, error) {
	res, err := tx.ExecContext(ctx, insertNotice, n.OrderID, n.CustomerID, string(n.Kind), n.Text)
	if err != nil {
		return false, fmt.Errorf("store notice of order %s: %w", n.OrderID, err)
	}
	if added, err := res.RowsAffected(); err != nil || added == 1 {
		return err == nil, err
	}
	before, err := Get(ctx, tx, n.OrderID)
	if err == nil && before.Kind != n.Kind {
		err = fmt.Errorf("%w: order %s was %s, now %s", ErrConflict, n.OrderID, before.Kind, n.Kind)
	}
	return false, err
}

const selectNotice = `SELECT customer_id, kind, text FROM notification_notices WHERE order_id = ?`

// Get reads the notice of an order. An order without a notice is ErrNotFound. A read-only transaction suffices.
func Get(ctx context.Context, tx SQL, orderID string) (Notice, error) {
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

// Fact is the notice of an order as an auditor sees the notice. The primary key allows one notice per order.
type Fact struct {
	OrderID string
	Kind    Kind
}

const eachNotice = `SELECT order_id, kind FROM notification_notices WHERE order_id > ?1 AND order_id <= ?2 ORDER BY order_id`

// Each calls visit for every notice, sorted by order id. When visit returns an error, Each stops and returns the
// error. A read-only transaction suffices; visit must not use tx.
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
	rows, err := tx.QueryContext(ctx, eachNotice, after, last)
	if err != nil {
		return fmt.Errorf("read notices: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has every error
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
