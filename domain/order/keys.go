package order

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Request is a client's request to place an order under an idempotency key. BodyHash identifies the content: any
// digest works, if equal requests have equal digests.
type Request struct {
	Key, BodyHash string
	OrderID       string // used if the request is the first under its key
}

const insertKey = `
INSERT INTO order_keys (key, body_hash, order_id) VALUES (?, ?, ?)
ON CONFLICT (key) DO NOTHING`

// Remember binds the request's key to the request's order, in the transaction that places the order, and returns the
// order's id. If the key was bound before, Remember returns the id of the earlier order and known: the caller must
// not place another order. A key that was bound by a different request is ErrKeyReused, an empty key or order id
// ErrInvalid.
func Remember(ctx context.Context, tx SQL, r Request) (orderID string, known bool, err error) {
	if r.Key == "" || r.OrderID == "" {
		return "", false, fmt.Errorf("%w: the idempotency key and the order id must not be empty", ErrInvalid)
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

// Lookup returns the order to which a key is bound; an unknown key is "" and false. A key that was bound by a
// different request is ErrKeyReused. A read-only transaction suffices.
func Lookup(ctx context.Context, tx SQL, key, bodyHash string) (orderID string, known bool, err error) {
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
