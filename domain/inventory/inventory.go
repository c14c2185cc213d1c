// Package inventory knows what is in stock and for which order it is set aside.
//
// Goods of an order are reserved, all or none, and then released or shipped; shipped ones may come back. For every
// article on hand + reserved + shipped - returned = initial, at every instant. The package imports the standard library
// and contracts only.
//
// Its functions run inside the caller's transaction on a database that has Schema, one goroutine at a time. After an
// error the transaction must be rolled back. Each call is safe to repeat: what has happened already is reported with
// false and changes nothing.
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

// The ways in which a request is refused.
var (
	ErrInvalid     = errors.New("inventory: invalid")
	ErrNotFound    = errors.New("inventory: no such article")
	ErrNotReserved = errors.New("inventory: nothing is known of the order")
	ErrConflict    = errors.New("inventory: something else became of the order's goods")
)

// Stock is what there is of one article, in pieces.
type Stock struct {
	SKU      string
	Initial  int64 // what was delivered before the first sale
	OnHand   int64 // free to be reserved
	Reserved int64
	Shipped  int64 // ever, also what came back
	Returned int64 // ever
}

// MaxDelivery is the most that comes in at once, in pieces: far from where a sum of pieces could not be counted.
const MaxDelivery = 1_000_000_000

const receive = `
INSERT INTO inventory_stock (sku, initial, on_hand, received) VALUES (?1, ?2, ?2, 1)
ON CONFLICT (sku) DO UPDATE SET initial = ?2, on_hand = on_hand + ?2, received = 1
WHERE received = 0`

// Receive takes in the first delivery of an article. It reports false, and leaves the stock as it is, when the article was
// received before. A quantity that is not from 0 to MaxDelivery, or an empty sku, is ErrInvalid.
func Receive(ctx context.Context, tx *sql.Tx, sku string, quantity int64) (bool, error) {
	if sku == "" || quantity < 0 || quantity > MaxDelivery {
		return false, fmt.Errorf("%w: receive %d of article %q: want 0 to %d of one that has a name", ErrInvalid, quantity, sku, MaxDelivery)
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

// Get reads the stock of an article, or answers ErrNotFound. A read-only transaction will do.
func Get(ctx context.Context, tx *sql.Tx, sku string) (Stock, error) {
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
