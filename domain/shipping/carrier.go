package shipping

import "context"

// Carrier is whoever takes the parcels. Dispatch is called outside any transaction, from several goroutines at once,
// and again with the same Key after a crash: for a Key it must act at most once, and answer as it did the first time.
// An *UndeliverableError is a final no; any other error is transient, and the call is made again later. ctx bounds the
// call.
type Carrier interface {
	// Dispatch hands a parcel over, and returns its label.
	Dispatch(ctx context.Context, p Parcel) (Label, error)
}

// Parcel is what an order's goods travel in. Key is its idempotency key.
type Parcel struct{ Key, OrderID string }

// Label is the carrier's answer: Tracking is its own name for the parcel.
type Label struct{ Tracking string }

// UndeliverableError is a carrier's final no: trying again does not help.
type UndeliverableError struct{ Reason string }

// Error names the reason.
func (e *UndeliverableError) Error() string { return "shipping: undeliverable: " + e.Reason }
