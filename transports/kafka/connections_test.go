package kafka_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// openConn is a connection that is counted while it is open.
type openConn struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *openConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// TestConnectionsOfManyTopics: fifty topics that rest have one connection each, on which a broker waits for messages, and a few in common.
func TestConnectionsOfManyTopics(t *testing.T) {
	t.Parallel()
	const topics = 50
	cfg := config(MustCluster(t, kfake.NumBrokers(1)).ListenAddrs()).WithRest(200 * time.Millisecond).WithPatience(20 * time.Second)
	var open atomic.Int64
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		open.Add(1)
		return &openConn{Conn: conn, open: &open}, nil
	}
	tr := MustTransport(t, cfg)
	for n := range topics {
		MustPublish(t, tr, fmt.Sprint("t", n), numbered("k", 0, 1)...)
		Next(t, MustSubscribe(t, tr, fmt.Sprint("t", n))).Ack()
	}
	eventually(t, func() bool { return open.Load() <= topics+4 }, "connections of %d topics: %d", topics, open.Load())
	MustPublish(t, tr, "t7", numbered("k", 1, 2)...) // after a rest
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return open.Load() == 0 }, "no connections")
}
