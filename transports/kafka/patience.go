package kafka

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"time"
)

// maxPatience is how long to wait for an answer at most. Kafka's own clients wait as long.
const maxPatience = 30 * time.Second

// patience returns how long to wait for an answer, and how long a problem may last before a subscription ends. The time
// is short, so that a lost broker is noticed soon. It doubles while brokers answer slowly, up to maxPatience.
func (t *Transport) patience() time.Duration {
	return min(t.cfg.patience<<t.slow.Load(), max(t.cfg.patience, maxPatience))
}

// waited adapts the patience after a call with ctx: a fast success resets it, a missing answer doubles it.
func (t *Transport) waited(ctx context.Context, took time.Duration, err error) {
	switch level := t.slow.Load(); {
	case ctx.Err() != nil: // the caller ended the call
	case err == nil && took < t.cfg.patience/2:
		t.slow.Store(0)
	case err != nil && unanswered(err) && t.patience() < maxPatience:
		t.slow.CompareAndSwap(level, level+1)
	}
}

// unanswered reports whether this client stopped waiting for an answer. A host that no dial reaches in time is down:
// more patience does not help, unless the dial was cut by a call that waited for another answer.
func unanswered(err error) bool {
	switch e := err.(type) {
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), unanswered)
	case *net.OpError:
		if e.Op == "dial" {
			return errors.Is(e, context.Canceled)
		}
	case interface{ Unwrap() error }:
		return unanswered(e.Unwrap())
	}
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
