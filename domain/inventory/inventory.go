// Package inventory keeps the stock of each article, and the goods that are reserved for each order.
//
// The goods of an order are reserved, all or none, and then released or shipped; shipped goods may come back. After
// every transaction, and for every article: on hand + reserved + shipped - returned = initial. The package imports
// the standard library and contracts only.
//
// All functions run inside the caller's transaction, on a database with Schema, in one goroutine at a time. After an
// error, roll the transaction back. Every call is safe to repeat: a repeated call reports false and changes nothing.
package inventory

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
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

// The reasons to refuse a request.
var (
	ErrInvalid     = errors.New("inventory: invalid")
	ErrNotFound    = errors.New("inventory: no such article")
	ErrNotReserved = errors.New("inventory: unknown order")
	ErrConflict    = errors.New("inventory: contradicts the recorded goods")
)

// Stock is the stock of an article, in pieces.
type Stock struct {
	SKU      string
	Initial  int64 // the first delivery
	OnHand   int64 // free to be reserved
	Reserved int64
	Shipped  int64 // in total; a return does not reduce Shipped
	Returned int64 // in total
}

// MaxDelivery is the largest delivery, in pieces: small enough for sums in an int64.
const MaxDelivery = 1_000_000_000

const receive = `
INSERT INTO inventory_stock (sku, initial, on_hand, received) VALUES (?1, ?2, ?2, 1)
ON CONFLICT (sku) DO UPDATE SET initial = ?2, on_hand = on_hand + ?2, received = 1
WHERE received = 0`

// Receive adds the first delivery of an article. Receive reports false, and changes nothing, when the article was
// received before. An empty sku, or a quantity below 0 or above MaxDelivery, is ErrInvalid.
func Receive(ctx context.Context, tx SQL, sku string, quantity int64) (bool, error) {
	if sku == "" || quantity < 0 || quantity > MaxDelivery {
		return false, fmt.Errorf("%w: receive %d of article %q: want a sku, and a quantity from 0 to %d", ErrInvalid, quantity, sku, MaxDelivery)
	}
	res, err := tx.ExecContext(ctx, receive, sku, quantity)
	if err != nil {
		return false, fmt.Errorf("receive %s: %w", sku, err)
	}
	changed, err := res.RowsAffected()
	return changed == 1, err
}

const selectStock = `
SELECT initial, on_hand, reserved, shipped, returned
FROM inventory_stock
WHERE sku = ?`

// Get reads the stock of an article. An unknown article is ErrNotFound. A read-only transaction suffices.
func Get(ctx context.Context, tx SQL, sku string) (Stock, error) {
	s := Stock{SKU: sku}
	err := tx.QueryRowContext(ctx, selectStock, sku).Scan(&s.Initial, &s.OnHand, &s.Reserved, &s.Shipped, &s.Returned)
	if errors.Is(err, sql.ErrNoRows) {
		return Stock{}, fmt.Errorf("%w: %s", ErrNotFound, sku)
	}
	if err != nil {
		return Stock{}, fmt.Errorf("read stock of %s: %w", sku, err)
	}
	return s, nil
}
