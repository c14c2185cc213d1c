// Package inventoryevents is the contract of the inventory module: the events about an order's goods.
//
// The package imports the standard library only. Event types and JSON names are durable: never rename a type or a
// field. The key of every event is the order's id.
package inventoryevents

// Reserved reports that every line of the order is set aside. Total is the order's total, in cents.
type Reserved struct {
	OrderID string `json:"order_id"`
	Total   int64  `json:"total_cents"`
}

// EventType returns "inventory.reserved".
func (Reserved) EventType() string { return "inventory.reserved" }

// EventKey returns the order's id.
func (e Reserved) EventKey() string { return e.OrderID }

// Short reports that no goods were set aside, because the stock of SKUs does not suffice.
type Short struct {
	OrderID string   `json:"order_id"`
	SKUs    []string `json:"skus"`
}

// EventType returns "inventory.short".
func (Short) EventType() string { return "inventory.short" }

// EventKey returns the order's id.
func (e Short) EventKey() string { return e.OrderID }

// Released reports that the goods that were set aside for the order are free again.
type Released struct {
	OrderID string `json:"order_id"`
}

// EventType returns "inventory.released".
func (Released) EventType() string { return "inventory.released" }

// EventKey returns the order's id.
func (e Released) EventKey() string { return e.OrderID }
