package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/postgres"
)

// TestServerRestarts stops the server under load, in order and as a crash, twice each. What was published is there, in order.
func TestServerRestarts(t *testing.T) {
	t.Parallel()
	server := servers.OwnPostgres(t)
	tr := MustNew(t, postgres.Config{URL: server.URL, Timeout: 2 * time.Second})
	const perRestart, batch = 2000, 20
	modes := []string{"fast", "immediate", "fast", "immediate"}
	total := perRestart * (len(modes) + 1)

	published := make(chan int)
	go func() {
		defer close(published)
		for n := 0; n < total; n += batch {
			for tr.Publish("order", numbered(n, batch)...) != nil {
				if t.Context().Err() != nil {
					return
				}
			}
			if n > 0 && n%perRestart == 0 {
				published <- n
			}
		}
	}()
	read := make(chan error, 1)
	go func() { read <- readThrough(t, tr, total) }()
	for i, mode := range modes {
		<-published
		server.Stop(mode)
		server.Start()
		t.Logf("restart %d, %s", i+1, mode)
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
}

// readThrough reads numbered messages whose ids may come again, subscribing as often as it takes.
func readThrough(t *testing.T, tr *postgres.Transport, total int) error {
	next, deadline := 0, time.After(2*time.Minute)
	var in <-chan *message.Message
	for next < total {
		if in == nil {
			var err error
			if in, err = tr.Subscribe(t.Context(), "order"); err != nil {
				in = nil
				<-time.After(20 * time.Millisecond)
				continue
			}
		}
		select {
		case <-deadline:
			return fmt.Errorf("read %d of %d messages in two minutes", next, total)
		case msg, ok := <-in:
			if !ok {
				in = nil
				continue
			}
			var n int
			if _, err := fmt.Sscan(msg.UUID, &n); err != nil || n > next {
				return fmt.Errorf("message %s came, want %d: %v", msg.UUID, next, err)
			}
			if n == next {
				next++
			}
			msg.Ack()
		}
	}
	return nil
}

// TestSilenceInTheMiddle has the network swallow everything from the moment at which the messages go out. Publish gives up.
func TestSilenceInTheMiddle(t *testing.T) {
	t.Parallel()
	var silent atomic.Bool
	tr := MustNew(t, postgres.Config{URL: servers.Postgres(t), Timeout: 500 * time.Millisecond,
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return swallowing{conn, &silent}, err
		}})
	done := make(chan error, 1)
	go func() { done <- tr.Publish("order", numbered(0, 1)...) }()
	select {
	case err := <-done:
		if err == nil || !silent.Load() {
			t.Errorf("Publish says %v; the network fell silent: %v", err, silent.Load())
		}
	case <-time.After(patience):
		t.Fatal("Publish does not give up")
	}
}

// swallowing falls silent when messages are inserted.
type swallowing struct {
	net.Conn
	silent *atomic.Bool
}

func (s swallowing) Write(b []byte) (int, error) {
	if s.silent.Load() || bytes.Contains(b, []byte("INSERT INTO")) {
		s.silent.Store(true)
		return len(b), nil
	}
	return s.Conn.Write(b)
}
