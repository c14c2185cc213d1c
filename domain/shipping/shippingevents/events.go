// Package shippingevents is the contract of the shipping module: the events about an order's parcel.
//
// The package imports the standard library only. Event types and JSON names are durable: never rename a type or a
// field. The key of every event is the order's id.
package shippingevents

// ReasonCancelled is the Undeliverable.Reason of an order that was cancelled before the dispatch. The value is
// durable.
const ReasonCancelled = "cancelled"

// Dispatched reports that the carrier has the parcel. Tracking is the carrier's name for the parcel.
type Dispatched struct {
	OrderID  string `json:"order_id"`
	Tracking string `json:"tracking"`
}

// EventType returns "shipping.dispatched".
func (Dispatched) EventType() string { return "shipping.dispatched" }

// EventKey returns the order's id.
func (e Dispatched) EventKey() string { return e.OrderID }

// Undeliverable reports that no parcel will ever leave for the order.
type Undeliverable struct {
	OrderID string `json:"order_id"`
	Reason  string `json:"reason"`
}

// EventType returns "shipping.undeliverable".
func (Undeliverable) EventType() string { return "shipping.undeliverable" }

// EventKey returns the order's id.
func (e Undeliverable) EventKey() string { return e.OrderID }
