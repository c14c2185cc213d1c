// Package shippingevents is the contract of the shipping module: what other modules may know of an order's parcel.
//
// It imports the standard library only. Event types and JSON names are durable and never renamed. The key of every event
// is its order's id.
package shippingevents

// ReasonCancelled is the Undeliverable.Reason of an order that was cancelled before anything left. It is durable.
const ReasonCancelled = "cancelled"

// Dispatched says that the carrier has the parcel. Tracking is the carrier's name for it.
type Dispatched struct {
	OrderID  string `json:"order_id"`
	Tracking string `json:"tracking"`
}

// EventType returns "shipping.dispatched".
func (Dispatched) EventType() string { return "shipping.dispatched" }

// EventKey returns the order's id.
func (e Dispatched) EventKey() string { return e.OrderID }

// Undeliverable says that no parcel leaves for the order, for good.
type Undeliverable struct {
	OrderID string `json:"order_id"`
	Reason  string `json:"reason"`
}

// EventType returns "shipping.undeliverable".
func (Undeliverable) EventType() string { return "shipping.undeliverable" }

// EventKey returns the order's id.
func (e Undeliverable) EventKey() string { return e.OrderID }
