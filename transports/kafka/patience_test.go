package kafka_test

import (
	"context"
	"net"
	"testing"
	"time"
)

// lazy is a connection to a broker that takes its time for each answer.
type lazy struct {
	net.Conn
	takes time.Duration
}

func (l *lazy) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if n > 4 { // an answer, or the larger part of one
		stay(l.takes)
	}
	return n, err
}

// TestSlowBroker: with a broker whose answers take longer than is usually waited for, everything goes on, only later.
func TestSlowBroker(t *testing.T) {
	t.Parallel()
	cfg := config(MustCluster(t).ListenAddrs()).WithPatience(20 * time.Millisecond)
	cfg.Timeout, cfg.Partitions = 100*time.Millisecond, 1
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		return &lazy{c, 560 * time.Millisecond}, err // fetches get half a second more anyway
	}
	tr := MustTransport(t, cfg)
	began := time.Now()
	for n := 0; ; n++ {
		if err := tr.Publish("order", numbered("k", 0, 1)...); err == nil {
			break
		} else if time.Since(began) > time.Minute {
			t.Fatalf("nothing is published: %v", err)
		}
	}
	for {
		in, err := tr.Subscribe(t.Context(), "order")
		if err == nil {
			Next(t, in).Ack()
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("nothing is read: %v", err)
		}
	}
}
