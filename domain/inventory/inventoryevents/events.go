// Package inventoryevents is the contract of the inventory module: what other modules may know of its stock.
//
// It imports the standard library only. Event types and JSON names are durable and never renamed. The key of every event
// is its order's id.
package inventoryevents

// Reserved says that every line of the order is set aside. Total is the order's own, in cents.
type Reserved struct {
	OrderID string `json:"order_id"`
	Total   int64  `json:"total_cents"`
}

// EventType returns "inventory.reserved".
func (Reserved) EventType() string { return "inventory.reserved" }

// EventKey returns the order's id.
func (e Reserved) EventKey() string { return e.OrderID }

// Short says that nothing was set aside, because the stock of SKUs does not suffice.
type Short struct {
	OrderID string   `json:"order_id"`
	SKUs    []string `json:"skus"`
}

// EventType returns "inventory.short".
func (Short) EventType() string { return "inventory.short" }

// EventKey returns the order's id.
func (e Short) EventKey() string { return e.OrderID }

// Released says that what was set aside for the order is back on the shelf.
type Released struct {
	OrderID string `json:"order_id"`
}

// EventType returns "inventory.released".
func (Released) EventType() string { return "inventory.released" }

// EventKey returns the order's id.
func (e Released) EventKey() string { return e.OrderID }
