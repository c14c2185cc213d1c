// Package orderevents is the contract of the order module: the facts about orders that other modules may know.
//
// It imports the standard library only. Event types and JSON names are durable: they are stored in journals and sent
// over the wire, so they are never renamed. Money is in cents. The key of every event is its order's id, so that the
// events of one order stay in order.
package orderevents

// Line is so many pieces of one article at one price.
type Line struct {
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price_cents"`
}

// Charge is a part of an order's total that is no article: postage is above zero, a discount below.
type Charge struct {
	Code   string `json:"code"`
	Amount int64  `json:"amount_cents"`
}

// Placed says that a customer has ordered Lines for Total. An empty CustomerID is a guest.
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

// CancelRequested says that somebody wants an open order undone. It may come too late: an order that is dispatched all the
// same is completed and then returned.
type CancelRequested struct {
	OrderID string `json:"order_id"`
	Reason  string `json:"reason"`
}

// EventType returns "order.cancel_requested".
func (CancelRequested) EventType() string { return "order.cancel_requested" }

// EventKey returns the order's id.
func (e CancelRequested) EventKey() string { return e.OrderID }

// Returned says that the goods of Lines come back and that Refund is owed to the customer. Credit marks goods that were
// bought before this shop's books begin: nothing was ever placed, reserved, charged or dispatched under OrderID.
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

// Completed says that the order is charged and on its way. It is one of the two ends that a placed order has.
type Completed struct {
	OrderID    string `json:"order_id"`
	CustomerID string `json:"customer_id"`
	Total      int64  `json:"total_cents"`
}

// EventType returns "order.completed".
func (Completed) EventType() string { return "order.completed" }

// EventKey returns the order's id.
func (e Completed) EventKey() string { return e.OrderID }

// Cancelled says that the order came to nothing: no goods have left, no money is kept. It is the other end.
type Cancelled struct {
	OrderID    string `json:"order_id"`
	CustomerID string `json:"customer_id"`
	Reason     string `json:"reason"`
}

// EventType returns "order.cancelled".
func (Cancelled) EventType() string { return "order.cancelled" }

// EventKey returns the order's id.
func (e Cancelled) EventKey() string { return e.OrderID }
