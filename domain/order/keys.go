package order

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Request is an order that a client asked for under an idempotency key of its own. BodyHash stands for what it asked:
// any digest will do, as long as it is always the same one.
type Request struct {
	Key, BodyHash string
	OrderID       string // that the request is to get, if it is the first under its key
}

const insertKey = `
INSERT INTO order_keys (key, body_hash, order_id) VALUES (?, ?, ?)
ON CONFLICT (key) DO NOTHING`

// Remember binds the request's key to its order, in the transaction that places it, and returns the order's id. Known
// means that the key was bound before: the id is the one that it was bound to, and nothing is to be placed.
// ErrKeyReused is the answer to another request under the same key, ErrInvalid to an empty key or order id.
func Remember(ctx context.Context, tx *sql.Tx, r Request) (orderID string, known bool, err error) {
	if r.Key == "" || r.OrderID == "" {
		return "", false, fmt.Errorf("%w: an idempotency key and an order id are needed", ErrInvalid)
	}
	res, err := tx.ExecContext(ctx, insertKey, r.Key, r.BodyHash, r.OrderID)
	if err != nil {
		return "", false, fmt.Errorf("remember idempotency key: %w", err)
	}
	if added, err := res.RowsAffected(); err != nil {
		return "", false, err
	} else if added == 1 {
		return r.OrderID, false, nil
	}
	return Lookup(ctx, tx, r.Key, r.BodyHash)
}

const selectKey = `SELECT body_hash, order_id FROM order_keys WHERE key = ?`

// Lookup returns the order that a key is bound to, and false for a key never seen. ErrKeyReused is the answer to another
// request under the same key. A read-only transaction will do.
func Lookup(ctx context.Context, tx *sql.Tx, key, bodyHash string) (orderID string, known bool, err error) {
	var hash string
	err = tx.QueryRowContext(ctx, selectKey, key).Scan(&hash, &orderID)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("look up idempotency key: %w", err)
	case hash != bodyHash:
		return "", false, ErrKeyReused
	}
	return orderID, true, nil
}
