// Package orderevents is the contract of the order module: the events about orders that other modules may consume.
//
// The package imports the standard library only. Event types and JSON names are durable, stored in journals and sent
// to other processes: never rename a type or a field. Money is in cents. The key of every event is the order's id, so
// the events of an order stay in order.
package orderevents

// Line is a quantity of an article at a price.
type Line struct {
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price_cents"`
}

// Charge is an amount of an order's total without an article: postage is positive, a discount negative.
type Charge struct {
	Code   string `json:"code"`
	Amount int64  `json:"amount_cents"`
}

// Placed reports that a customer has ordered Lines for Total. The CustomerID of a guest is empty.
type Placed struct {
	OrderID    string   `json:"order_id"`
	CustomerID string   `json:"customer_id"`
	Lines      []Line   `json:"lines"`
	Charges    []Charge `json:"charges"`
	Total      int64    `json:"total_cents"`
}

// EventType returns "order.placed".
func (Placed) EventType() string { return "order.placed" }

// EventKey returns the order's id.
func (e Placed) EventKey() string { return e.OrderID }

// CancelRequested reports that a customer wants to cancel an open order. The request may come too late: an order that
// is dispatched nevertheless is completed and then returned.
type CancelRequested struct {
	OrderID string `json:"order_id"`
	Reason  string `json:"reason"`
}

// EventType returns "order.cancel_requested".
func (CancelRequested) EventType() string { return "order.cancel_requested" }

// EventKey returns the order's id.
func (e CancelRequested) EventKey() string { return e.OrderID }

// Returned reports that the goods of Lines come back, and that the customer is owed Refund. Credit marks goods that
// were bought before the shop's books began: no order was placed, reserved, charged or dispatched under OrderID.
type Returned struct {
	OrderID string `json:"order_id"`
	Lines   []Line `json:"lines"`
	Refund  int64  `json:"refund_cents"`
	Reason  string `json:"reason"`
	Credit  bool   `json:"credit"`
}

// EventType returns "order.returned".
func (Returned) EventType() string { return "order.returned" }

// EventKey returns the order's id.
func (e Returned) EventKey() string { return e.OrderID }

// Completed reports that the order is charged and dispatched. A placed order ends with Completed or Cancelled.
type Completed struct {
	OrderID    string `json:"order_id"`
	CustomerID string `json:"customer_id"`
	Total      int64  `json:"total_cents"`
}

// EventType returns "order.completed".
func (Completed) EventType() string { return "order.completed" }

// EventKey returns the order's id.
func (e Completed) EventKey() string { return e.OrderID }

// Cancelled reports that the order ended without a sale. No goods have left, no money is kept.
type Cancelled struct {
	OrderID    string `json:"order_id"`
	CustomerID string `json:"customer_id"`
	Reason     string `json:"reason"`
}

// EventType returns "order.cancelled".
func (Cancelled) EventType() string { return "order.cancelled" }

// EventKey returns the order's id.
func (e Cancelled) EventKey() string { return e.OrderID }
