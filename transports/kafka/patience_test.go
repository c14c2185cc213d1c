package kafka_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/kafka"
)

// hole is the address of a host that is away: a firewall drops all packets to it.
const hole = "hole:9092"

// dialHole connects to every address but hole.
func dialHole(ctx context.Context, network, address string) (net.Conn, error) {
	if address == hole {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// TestSlowBroker: a broker whose answers take longer than the client usually waits. The calls of a process disturb one
// another at first, for they share a client. After a while, each call succeeds.
func TestSlowBroker(t *testing.T) {
	t.Parallel()
	const takes, patience = 400 * time.Millisecond, 125 * time.Millisecond
	cert, certFile, _ := certificate(t, "localhost")
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var opts []kfake.Opt
			var login kafka.TLS
			if secure {
				opts = append(opts, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}))
				login = kafka.TLS{Enabled: true, CAFile: certFile}
			}
			cfg := config(MustCluster(t, opts...).ListenAddrs()).WithPatience(patience)
			cfg.Timeout, cfg.Dial, cfg.TLS = time.Second, servers.DialSlow(takes), login
			tr := MustTransport(t, cfg)
			var calls sync.WaitGroup
			for name, call := range map[string]func() error{
				"claim":   func() error { return tr.Features().Claim(t.Context(), "order", nil) },
				"publish": func() error { return tr.Publish("order", numbered("k", 0, 1)...) },
				"read":    func() error { _, err := tr.Subscribe(t.Context(), "payment"); return err },
				"read 2":  func() error { _, err := tr.Subscribe(t.Context(), "shipping"); return err },
			} {
				calls.Go(func() {
					for began := time.Now(); ; {
						if err := call(); err == nil {
							return
						} else if time.Since(began) > time.Minute {
							t.Errorf("%s never succeeds: %v", name, err)
							return
						}
					}
				})
			}
			calls.Wait()
			in, err := tr.Subscribe(t.Context(), "order")
			if err != nil {
				t.Fatal(err)
			}
			Next(t, in).Ack()
		})
	}
}

// TestSlowClaim: a process that only sends waits longer for a slow broker, too.
func TestSlowClaim(t *testing.T) {
	t.Parallel()
	cfg := config(MustCluster(t).ListenAddrs()).WithPatience(125 * time.Millisecond)
	cfg.Dial = servers.DialSlow(200 * time.Millisecond)
	tr := MustTransport(t, cfg)
	for began := time.Now(); ; {
		if err := tr.Features().Claim(t.Context(), "order", nil); err == nil {
			break
		} else if time.Since(began) > 20*time.Second {
			t.Fatalf("the claim never succeeds: %v", err)
		}
	}
}

// TestBlackHole: an address that swallows all packets costs one wait, and does not make the client more patient.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	const patience = 300 * time.Millisecond
	t.Run("beside a broker", func(t *testing.T) {
		t.Parallel()
		good := MustCluster(t).ListenAddrs()[0]
		for range 8 { // the address that sarama tries first is random
			cfg := config([]string{hole, good}).WithPatience(patience)
			cfg.Dial = dialHole
			tr := MustTransport(t, cfg)
			began := time.Now()
			MustPublish(t, tr, "order", numbered("k", 0, 1)...)
			Next(t, MustSubscribe(t, tr, "order"))
			if took := time.Since(began); took > 8*patience {
				t.Errorf("it took %v to find the other broker", took)
			}
			if got := tr.Patience(); got != patience {
				t.Errorf("the patience grew to %v", got)
			}
			if err := tr.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("alone", func(t *testing.T) {
		t.Parallel()
		cfg := config([]string{hole}).WithPatience(patience)
		cfg.Timeout, cfg.Dial = 3*patience, dialHole
		tr := MustTransport(t, cfg)
		for range 4 {
			began := time.Now()
			_, read := tr.Subscribe(t.Context(), "order")
			sent := tr.Publish("order", numbered("k", 0, 1)...)
			for _, err := range []error{read, sent, tr.Features().Claim(t.Context(), "order", nil)} {
				if err == nil {
					t.Error("somebody is there")
				}
			}
			if took := time.Since(began); took > 10*patience {
				t.Errorf("it took %v to find that nobody is there", took)
			}
		}
		if got := tr.Patience(); got > patience {
			t.Errorf("the patience grew to %v", got)
		}
	})
}

// TestUnanswered: the client was not patient enough if it ended any wait, but a host that it cannot reach.
func TestUnanswered(t *testing.T) {
	t.Parallel()
	op := func(op string, why error) error { return &net.OpError{Op: op, Net: "tcp", Err: why} }
	silent, cut := op("read", os.ErrDeadlineExceeded), op("read", net.ErrClosed)
	away := op("dial", context.DeadlineExceeded)
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"a broker is silent":             {silent, true},
		"the connection was cut":         {fmt.Errorf("not ready after 6s: %w", cut), true},
		"a dial was cut":                 {sarama.Wrap(sarama.ErrOutOfBrokers, op("dial", context.Canceled)), true},
		"the host is away":               {sarama.Wrap(sarama.ErrOutOfBrokers, away), false},
		"no broker listens":              {op("dial", syscall.ECONNREFUSED), false},
		"one host away, another silent":  {sarama.Wrap(sarama.ErrOutOfBrokers, away, silent), true},
		"one host away, another cut":     {sarama.Wrap(sarama.ErrOutOfBrokers, away, cut), true},
		"the handshake takes too long":   {context.DeadlineExceeded, true},
		"one host away, another refuses": {sarama.Wrap(sarama.ErrOutOfBrokers, away, io.EOF), false},
		"an answer":                      {sarama.ErrNotController, false},
	} {
		if got := kafka.Unanswered(test.err); got != test.want {
			t.Errorf("%s: %t, want %t for: %v", name, got, test.want, test.err)
		}
	}
}
