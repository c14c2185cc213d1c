package kafka

import (
	"context"
	"errors"
	"net"
	"os"
	"time"
)

// maxPatience is how long to wait for an answer at most. Kafka's own clients wait as long.
const maxPatience = 30 * time.Second

// patience returns how long to wait for an answer, and how long a problem may last before a subscription ends. The time
// is short, so that a lost broker is noticed soon. It doubles while brokers answer slowly, up to maxPatience.
func (t *Transport) patience() time.Duration {
	return min(t.cfg.patience<<t.slow.Load(), max(t.cfg.patience, maxPatience))
}

// waited adapts the patience after a request: a fast success resets it, a missing answer doubles it.
func (t *Transport) waited(took time.Duration, err error) {
	switch level := t.slow.Load(); {
	case err == nil && took < t.cfg.patience/2:
		t.slow.Store(0)
	case err != nil && unanswered(err) && t.patience() < maxPatience:
		t.slow.CompareAndSwap(level, level+1)
	}
}

// unanswered reports whether a connected broker did not answer in time.
func unanswered(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return false
	}
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded)
}
