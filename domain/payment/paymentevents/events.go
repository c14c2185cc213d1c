// Package paymentevents is the contract of the payment module: what other modules may know of an order's money.
//
// It imports the standard library only. Event types and JSON names are durable and never renamed. Amounts are in cents.
// The key of every event is its order's id.
package paymentevents

// The values of Refunded.Reason. They are durable too.
const (
	ReasonUndeliverable = "undeliverable" // the parcel never left: the order is undone
	ReasonReturned      = "returned"      // the goods came back, or a credit was granted
)

// ReasonCancelled is the Declined.Reason of an order that was cancelled before anything was charged. It is durable too.
const ReasonCancelled = "cancelled"

// Charged says that the customer has paid Amount. Reference is the gateway's name for it.
type Charged struct {
	OrderID   string `json:"order_id"`
	Amount    int64  `json:"amount_cents"`
	Reference string `json:"reference"`
}

// EventType returns "payment.charged".
func (Charged) EventType() string { return "payment.charged" }

// EventKey returns the order's id.
func (e Charged) EventKey() string { return e.OrderID }

// Declined says that the customer will not pay for the order, for good.
type Declined struct {
	OrderID string `json:"order_id"`
	Reason  string `json:"reason"`
}

// EventType returns "payment.declined".
func (Declined) EventType() string { return "payment.declined" }

// EventKey returns the order's id.
func (e Declined) EventKey() string { return e.OrderID }

// Refunded says that the customer has Amount back. Reason is ReasonUndeliverable or ReasonReturned.
type Refunded struct {
	OrderID   string `json:"order_id"`
	Amount    int64  `json:"amount_cents"`
	Reference string `json:"reference"`
	Reason    string `json:"reason"`
}

// EventType returns "payment.refunded".
func (Refunded) EventType() string { return "payment.refunded" }

// EventKey returns the order's id.
func (e Refunded) EventKey() string { return e.OrderID }
