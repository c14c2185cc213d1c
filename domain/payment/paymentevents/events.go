// Package paymentevents is the contract of the payment module: the events about an order's money.
//
// The package imports the standard library only. Event types and JSON names are durable: never rename a type or a
// field. Amounts are in cents. The key of every event is the order's id.
package paymentevents

// The values of Refunded.Reason. They are durable, too.
const (
	ReasonUndeliverable = "undeliverable" // the parcel never left: the order is undone
	ReasonReturned      = "returned"      // the goods came back, or a credit was granted
)

// ReasonCancelled is the Declined.Reason of an order that was cancelled before the charge. The value is durable, too.
const ReasonCancelled = "cancelled"

// Charged reports that the customer has paid Amount. Reference is the gateway's name for the payment.
type Charged struct {
	OrderID   string `json:"order_id"`
	Amount    int64  `json:"amount_cents"`
	Reference string `json:"reference"`
}

// EventType returns "payment.charged".
func (Charged) EventType() string { return "payment.charged" }

// EventKey returns the order's id.
func (e Charged) EventKey() string { return e.OrderID }

// Declined reports that the customer will never pay for the order.
type Declined struct {
	OrderID string `json:"order_id"`
	Reason  string `json:"reason"`
}

// EventType returns "payment.declined".
func (Declined) EventType() string { return "payment.declined" }

// EventKey returns the order's id.
func (e Declined) EventKey() string { return e.OrderID }

// Refunded reports that the customer has got Amount back. Reason is ReasonUndeliverable or ReasonReturned.
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
