package shipping

import "context"

// Carrier delivers parcels. Dispatch is called outside of transactions, from several goroutines at once, and again
// with the same Key after a crash: for a Key a carrier must act at most once, and repeat its first answer. An
// *UndeliverableError is final. After any other error the call is retried later. ctx bounds the call.
type Carrier interface {
	// Dispatch hands a parcel over, and returns the label.
	Dispatch(ctx context.Context, p Parcel) (Label, error)
}

// Parcel contains an order's goods. Key is the idempotency key.
type Parcel struct{ Key, OrderID string }

// Label is the carrier's answer. Tracking is the carrier's name for the parcel.
type Label struct{ Tracking string }

// UndeliverableError is a final refusal of the carrier: a retry does not help.
type UndeliverableError struct{ Reason string }

// Error returns the reason.
func (e *UndeliverableError) Error() string { return "shipping: undeliverable: " + e.Reason }
