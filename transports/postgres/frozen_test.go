package postgres_test

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/postgres"
)

// frozen is a network that carries nothing any more once a statement passes, as if the process were stopped there: its connections
// stay open, and new connections wait.
type frozen struct {
	statement atomic.Value // a string
	stopped   atomic.Bool
	open      sync.Map // every connection, or the collector of garbage would close it
}

func (f *frozen) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if f.stopped.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	f.open.Store(c, nil)
	return &frozenConn{c, f}, nil
}

type frozenConn struct {
	net.Conn
	network *frozen
}

func (c *frozenConn) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(c.network.statement.Load().(string))) {
		c.network.stopped.Store(true)
	}
	if c.network.stopped.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *frozenConn) Close() error {
	if c.network.stopped.Load() {
		return nil // the server does not hear of it
	}
	return c.Conn.Close()
}

// TestFrozenProcess stops a process while it holds a lock that all others need. The server ends the session of that process within the
// Timeout, not when TCP gives up.
func TestFrozenProcess(t *testing.T) {
	t.Parallel()
	never := "no statement has these words"
	for name, c := range map[string]struct{ first, second string }{ // at which statement the first or second message stops it
		"makes the identity": {"CREATE TABLE IF NOT EXISTS \"troupe_identity\"", ""},
		"makes a topic":      {"CREATE TABLE IF NOT EXISTS \"troupe_order_messages\"", ""},
		"publishes":          {never, "\vcommit\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := servers.Postgres(t)
			var network frozen
			network.statement.Store(c.first)
			defer network.open.Clear()
			stopped := MustNew(t, postgres.Config{URL: url, Group: "stopped", Timeout: time.Second, Dial: network.dial})
			err := stopped.Publish("order", message.NewMessage("1", nil))
			if c.second != "" && err == nil {
				network.statement.Store(c.second)
				err = stopped.Publish("order", message.NewMessage("1", nil))
			}
			if err == nil || !network.stopped.Load() {
				t.Fatalf("the process was not stopped (%v), and published: %v", network.stopped.Load(), err)
			}
			other := MustNew(t, postgres.Config{URL: url, Group: "other", Timeout: time.Second})
			for began := time.Now(); time.Since(began) < patience; {
				if err = other.Publish("order", message.NewMessage("2", nil)); err == nil {
					break
				}
			}
			if err != nil {
				t.Fatalf("another process cannot publish: %v", err)
			}
			in := MustSubscribeSoon(t.Context(), t, other, "order")
			if c.second != "" {
				MustNext(t, in).Ack()
			}
			if got := MustNext(t, in); got.UUID != "2" {
				t.Errorf("the other process reads %q", got.UUID)
			}
		})
	}
}
