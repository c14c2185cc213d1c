package payment

import "context"

// Gateway moves money. Methods are called outside of transactions, from several goroutines at once, and again with
// the same Key after a crash: for a Key a gateway must act at most once, and repeat its first answer. A
// *DeclinedError is final. After any other error the call is retried later. ctx bounds the call.
type Gateway interface {
	// Charge takes the money for an order.
	Charge(ctx context.Context, c Charge) (Receipt, error)
	// Refund gives money of a charge back.
	Refund(ctx context.Context, r Refund) (Receipt, error)
}

// Charge asks for Amount cents from the customer of an order. Key is the idempotency key.
type Charge struct {
	Key, OrderID string
	Amount       int64
}

// Refund gives Amount cents back to the customer of an order. Key is the idempotency key.
type Refund struct {
	Key, OrderID string
	Amount       int64
}

// Receipt is the gateway's answer. Reference is the gateway's name for the transfer.
type Receipt struct{ Reference string }

// DeclinedError is a final refusal of the gateway: a retry does not help.
type DeclinedError struct{ Reason string }

// Error returns the reason.
func (e *DeclinedError) Error() string { return "payment: declined: " + e.Reason }

// free is the reference of an amount of 0 cents, for which the gateway is not called.
const free = "free"

// Send sends the charge to g. A charge of 0 cents is not sent and has the reference "free". Errors are the gateway's.
func (c Charge) Send(ctx context.Context, g Gateway) (Receipt, error) {
	if c.Amount == 0 {
		return Receipt{Reference: free}, nil
	}
	return g.Charge(ctx, c)
}

// Send sends the refund to g. A refund of 0 cents is not sent and has the reference "free". Errors are the gateway's.
func (r Refund) Send(ctx context.Context, g Gateway) (Receipt, error) {
	if r.Amount == 0 {
		return Receipt{Reference: free}, nil
	}
	return g.Refund(ctx, r)
}
