package payment

import "context"

// Gateway is whoever moves the money. Its methods are called outside any transaction, from several goroutines at once,
// and again with the same Key after a crash: for a Key it must act at most once, and answer as it did the first time.
// A *DeclinedError is a final no; any other error is transient, and the call is made again later. ctx bounds the call.
type Gateway interface {
	// Charge takes the money for an order.
	Charge(ctx context.Context, c Charge) (Receipt, error)
	// Refund gives money of a charge back.
	Refund(ctx context.Context, r Refund) (Receipt, error)
}

// Charge asks for Amount cents from the customer of an order. Key is its idempotency key.
type Charge struct {
	Key, OrderID string
	Amount       int64
}

// Refund gives Amount cents back to the customer of an order. Key is its idempotency key.
type Refund struct {
	Key, OrderID string
	Amount       int64
}

// Receipt is the gateway's answer: Reference is its own name for what it did.
type Receipt struct{ Reference string }

// DeclinedError is a gateway's final no: trying again does not help.
type DeclinedError struct{ Reason string }

// Error names the reason.
func (e *DeclinedError) Error() string { return "payment: declined: " + e.Reason }

// free is the reference of what costs nothing, and is not sent to the gateway.
const free = "free"

// Send has g make the charge. One of 0 cents is not sent: its reference is "free". Errors are the gateway's own.
func (c Charge) Send(ctx context.Context, g Gateway) (Receipt, error) {
	if c.Amount == 0 {
		return Receipt{Reference: free}, nil
	}
	return g.Charge(ctx, c)
}

// Send has g make the refund. One of 0 cents is not sent: its reference is "free". Errors are the gateway's own.
func (r Refund) Send(ctx context.Context, g Gateway) (Receipt, error) {
	if r.Amount == 0 {
		return Receipt{Reference: free}, nil
	}
	return g.Refund(ctx, r)
}
