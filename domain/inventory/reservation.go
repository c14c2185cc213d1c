package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/troupebus/troupe/domain/order/orderevents"
)

// State is the state of an order's goods. States are stored.
type State string

// The states. Reserved goods are released or shipped; shipped goods may be returned. The other states are final.
const (
	StateShort    State = "short" // the stock did not suffice: no goods were set aside
	StateReserved State = "reserved"
	StateReleased State = "released"
	StateShipped  State = "shipped"
	StateReturned State = "returned"
)

const insertReservation = `
INSERT INTO inventory_reservations (order_id, state, credit) VALUES (?, ?, ?)
ON CONFLICT (order_id) DO NOTHING`

const insertLine = `
INSERT INTO inventory_lines (order_id, sku, quantity) VALUES (?, ?, ?)
ON CONFLICT (order_id, sku) DO UPDATE SET quantity = quantity + excluded.quantity`

const selectMissing = `
SELECT l.sku
FROM inventory_lines l LEFT JOIN inventory_stock s ON s.sku = l.sku
WHERE l.order_id = ? AND (s.sku IS NULL OR s.on_hand < l.quantity)
ORDER BY l.sku`

const reserveStock = `
UPDATE inventory_stock SET on_hand = on_hand - l.quantity, reserved = reserved + l.quantity
FROM inventory_lines l
WHERE l.order_id = ? AND inventory_stock.sku = l.sku`

const updateState = `UPDATE inventory_reservations SET state = ?2 WHERE order_id = ?1`

// Reserve sets aside the goods of a placed order, all or none. missing are the articles with too little stock, sorted
// by sku; if missing is empty, all goods are reserved. Reserve reports false when the order was answered before.
func Reserve(
	ctx context.Context, tx SQL, orderID string, lines []orderevents.Line,
) (missing []string, fresh bool, err error) {
	fresh, err = enter(ctx, tx, entry{orderID: orderID, state: StateReserved, lines: lines})
	if err != nil || !fresh {
		return nil, false, err
	}
	if missing, err = missingOf(ctx, tx, orderID); err != nil {
		return nil, false, err
	}
	if len(missing) > 0 {
		_, err = tx.ExecContext(ctx, updateState, orderID, string(StateShort))
	} else {
		_, err = tx.ExecContext(ctx, reserveStock, orderID)
	}
	if err != nil {
		return nil, false, fmt.Errorf("reserve for order %s: %w", orderID, err)
	}
	return missing, true, nil
}

type entry struct {
	orderID string
	state   State
	credit  bool
	lines   []orderevents.Line
}

// enter adds an order's goods to the books, and reports false for a known order.
func enter(ctx context.Context, tx SQL, e entry) (bool, error) {
	res, err := tx.ExecContext(ctx, insertReservation, e.orderID, string(e.state), e.credit)
	if err != nil {
		return false, fmt.Errorf("enter order %s: %w", e.orderID, err)
	}
	if added, err := res.RowsAffected(); err != nil || added == 0 {
		return false, err
	}
	for _, l := range e.lines {
		if _, err := tx.ExecContext(ctx, insertLine, e.orderID, l.SKU, l.Quantity); err != nil {
			return false, fmt.Errorf("enter %s of order %s: %w", l.SKU, e.orderID, err)
		}
	}
	return true, nil
}

func missingOf(ctx context.Context, tx SQL, orderID string) ([]string, error) {
	rows, err := tx.QueryContext(ctx, selectMissing, orderID)
	if err != nil {
		return nil, fmt.Errorf("find missing articles of order %s: %w", orderID, err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has every error
	var missing []string
	for rows.Next() {
		var sku string
		if err := rows.Scan(&sku); err != nil {
			return nil, fmt.Errorf("find missing articles of order %s: %w", orderID, err)
		}
		missing = append(missing, sku)
	}
	return missing, rows.Err()
}

const releaseStock = `
UPDATE inventory_stock SET on_hand = on_hand + l.quantity, reserved = reserved - l.quantity
FROM inventory_lines l
WHERE l.order_id = ? AND inventory_stock.sku = l.sku`

// Release frees the goods that were set aside for an order without payment or delivery. Release reports false when
// the goods were released before. An unknown order is ErrNotReserved; goods in any other state are ErrConflict.
func Release(ctx context.Context, tx SQL, orderID string) (bool, error) {
	state, err := stateOf(ctx, tx, orderID)
	if err != nil || state == StateReleased {
		return false, err
	}
	if state != StateReserved {
		return false, conflict(orderID, state)
	}
	return true, move(ctx, tx, orderID, StateReleased, releaseStock)
}

const shipStock = `
UPDATE inventory_stock SET reserved = reserved - l.quantity, shipped = shipped + l.quantity
FROM inventory_lines l
WHERE l.order_id = ? AND inventory_stock.sku = l.sku`

// Ship moves the goods of a completed order from reserved to shipped. Ship reports false when the goods were shipped
// before. ErrNotReserved and ErrConflict are as with Release.
func Ship(ctx context.Context, tx SQL, orderID string) (bool, error) {
	state, err := stateOf(ctx, tx, orderID)
	if err != nil {
		return false, err
	}
	switch state {
	case StateShipped, StateReturned:
		return false, nil
	case StateReserved:
		return true, move(ctx, tx, orderID, StateShipped, shipStock)
	}
	return false, conflict(orderID, state)
}

const restock = `
UPDATE inventory_stock SET on_hand = on_hand + l.quantity, returned = returned + l.quantity
FROM inventory_lines l
WHERE l.order_id = ? AND inventory_stock.sku = l.sku`

// Restock takes back the shipped goods of a returned order, or the lines of a credit note. Restock reports false when
// the goods were returned before. ErrNotReserved and ErrConflict are as with Release.
func Restock(ctx context.Context, tx SQL, e orderevents.Returned) (bool, error) {
	if e.Credit {
		return restockCredit(ctx, tx, e)
	}
	state, err := stateOf(ctx, tx, e.OrderID)
	if err != nil || state == StateReturned {
		return false, err
	}
	if state != StateShipped {
		return false, conflict(e.OrderID, state)
	}
	return true, move(ctx, tx, e.OrderID, StateReturned, restock)
}

// restockCreditLine adds an article that was never received with an initial stock of zero.
const restockCreditLine = `
INSERT INTO inventory_stock (sku, initial, on_hand, returned, received) VALUES (?1, 0, ?2, ?2, 0)
ON CONFLICT (sku) DO UPDATE SET on_hand = on_hand + ?2, returned = returned + ?2`

func restockCredit(ctx context.Context, tx SQL, e orderevents.Returned) (bool, error) {
	fresh, err := enter(ctx, tx, entry{orderID: e.OrderID, state: StateReturned, credit: true, lines: e.Lines})
	if err != nil || !fresh {
		return false, err
	}
	for _, l := range e.Lines {
		if _, err := tx.ExecContext(ctx, restockCreditLine, l.SKU, l.Quantity); err != nil {
			return false, fmt.Errorf("restock %s of credit %s: %w", l.SKU, e.OrderID, err)
		}
	}
	return true, nil
}

const selectState = `SELECT state FROM inventory_reservations WHERE order_id = ?`

func stateOf(ctx context.Context, tx SQL, orderID string) (State, error) {
	var state State
	err := tx.QueryRowContext(ctx, selectState, orderID).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("%w: %s", ErrNotReserved, orderID)
	}
	if err != nil {
		return "", fmt.Errorf("read reservation of order %s: %w", orderID, err)
	}
	return state, nil
}

// move changes the state of an order's goods and, with the statement stock, the stock of the articles.
func move(ctx context.Context, tx SQL, orderID string, to State, stock string) error {
	_, err := tx.ExecContext(ctx, updateState, orderID, string(to))
	if err == nil {
		_, err = tx.ExecContext(ctx, stock, orderID)
	}
	if err != nil {
		return fmt.Errorf("move goods of order %s to %s: %w", orderID, to, err)
	}
	return nil
}

func conflict(orderID string, state State) error {
	return fmt.Errorf("%w: the goods of order %s are %s", ErrConflict, orderID, state)
}
