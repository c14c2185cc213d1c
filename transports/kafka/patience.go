package kafka

import (
	"context"
	"errors"
	"net"
	"os"
	"time"
)

// mostPatience is how long an answer is waited for at most, as Kafka's own clients wait.
const mostPatience = 30 * time.Second

// patience is how long an answer is waited for, and trouble may last. It is short, so that a broker that is gone is noticed soon, and
// grows while brokers take their time, up to what Kafka's own clients have.
func (t *Transport) patience() time.Duration {
	return min(t.cfg.patience<<t.slow.Load(), max(t.cfg.patience, mostPatience))
}

// waited notes how something ended that was asked of brokers and took that long.
func (t *Transport) waited(took time.Duration, err error) {
	switch level := t.slow.Load(); {
	case err == nil && took < t.cfg.patience/2:
		t.slow.Store(0)
	case err != nil && unanswered(err) && t.patience() < mostPatience:
		t.slow.CompareAndSwap(level, level+1)
	}
}

// unanswered reports whether err is that a broker, which was connected to, did not answer in time.
func unanswered(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return false
	}
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded)
}
