package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/kafka"
)

// TestRealConformance holds the transport to its promises on a real Kafka.
func TestRealConformance(t *testing.T) { conformance(t, []string{servers.Kafka(t)}) }

// TestRealPosition: see TestPlace.
func TestRealPosition(t *testing.T) { position(t, []string{servers.Kafka(t)}) }

// TestRealGap: see TestGap.
func TestRealGap(t *testing.T) { gap(t, []string{servers.Kafka(t)}) }

// TestRealPubSub runs Watermill's acceptance suite on a real Kafka.
func TestRealPubSub(t *testing.T) {
	c := constructor{servers.Kafka(t)}
	tests.TestPubSub(t, features, c.pubSub, c.groupPubSub)
}

// TestRealCrash kills a real broker with kill -9 in the middle of publishing, twice, and starts it again: every message that
// was published is there, and in order; the subscription that ended with the broker is taken up where it was.
func TestRealCrash(t *testing.T) {
	servers.Kafka(t) // for its own broker it needs what that one does
	node := servers.OwnKafka(t, "")
	cfg := alone([]string{node.Address}).WithPatience(time.Second)
	cfg.Timeout = time.Second
	tr := MustTransport(t, cfg)
	const batches = 300
	sent := make(chan error, 1)
	at := make(chan int, batches)
	go func() {
		for n := range batches {
			if err := insist(tr, numbered("k", 20*n, 20*n+20)); err != nil {
				sent <- err
				return
			}
			at <- n
		}
		sent <- nil
	}()
	got := make(chan error, 1)
	ctx := t.Context()
	go func() { got <- persist(ctx, tr, 20*batches) }()
	for _, n := range []int{batches / 3, 2 * batches / 3} {
		for <-at != n {
		}
		if err := errors.Join(node.Kill(), node.Start()); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []chan error{sent, got} {
		if err := <-c; err != nil {
			t.Fatal(err)
		}
	}
}

// persist reads count messages of one key, in order, as an ingest does: it subscribes again whenever the channel closes.
func persist(ctx context.Context, tr *kafka.Transport, count int) error {
	for next := 0; next < count; {
		in, err := tr.Subscribe(ctx, "order")
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			stay(50 * time.Millisecond)
			continue
		}
		for m := range in {
			n, err := strconv.Atoi(string(m.Payload))
			if err != nil || n > next {
				return fmt.Errorf("%s came before k-%d", m.UUID, next)
			}
			next = max(next, n+1)
			m.Ack()
			if next == count {
				return nil
			}
		}
	}
	return nil
}
