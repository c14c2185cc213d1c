package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/transports/kafka"
)

// ordered checks that the first time that each message appears, the ones of its key before it have, and returns when it has seen
// want numbers of each key.
func ordered(t *testing.T, in <-chan *message.Message, want map[string]int) (repeated int) {
	t.Helper()
	next, left := map[string]int{}, 0
	for _, n := range want {
		left += n
	}
	for left > 0 {
		m := Next(t, in)
		key := wire.Key(m)
		n, err := strconv.Atoi(string(m.Payload))
		switch {
		case err != nil:
			t.Fatal(err)
		case n < next[key]:
			repeated++
		case n > next[key]:
			t.Fatalf("%s came before %s-%d", m.UUID, key, next[key])
		default:
			next[key]++
			left--
		}
		m.Ack()
	}
	return repeated
}

// insist publishes as a relay does: all of it again until it is taken.
func insist(tr *kafka.Transport, msgs []*message.Message) error {
	for began := time.Now(); ; stay(10 * time.Millisecond) {
		err := tr.Publish("order", msgs...)
		if err == nil || time.Since(began) > time.Minute {
			return err
		}
	}
}

// TestLeadersMove: while partitions change their leaders all the time, every message arrives, once, and in order.
func TestLeadersMove(t *testing.T) {
	t.Parallel()
	c := MustCluster(t, kfake.NumBrokers(3))
	tr := MustTransport(t, config(c.ListenAddrs()))
	MustPublish(t, tr, "order", numbered("k0", 0, 1)...)
	in := MustSubscribe(t, tr, "order")
	ctx, stop := context.WithCancel(t.Context())
	var moving sync.WaitGroup
	moving.Go(func() {
		for n := int32(0); ctx.Err() == nil; n++ {
			c.ShufflePartitionLeaders()
			_ = c.MoveTopicPartition("troupe.order", n%6, n%3)
			stay(15 * time.Millisecond)
		}
	})
	want := map[string]int{}
	errs := make(chan error, 8)
	for k := range 8 {
		key, first := "k"+strconv.Itoa(k), 0
		want[key] = 600
		if k == 0 {
			first = 1
		}
		go func() {
			for n := first; n < 600; n += 10 {
				if err := tr.Publish("order", numbered(key, n, min(n+10, 600))...); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	repeated := ordered(t, in, want)
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	stop()
	moving.Wait()
	if repeated > 0 {
		t.Errorf("%d messages came twice", repeated)
	}
}

// TestNoLeaderYet: a topic whose partitions have no leader for a moment is waited for.
func TestNoLeaderYet(t *testing.T) {
	t.Parallel()
	c := MustCluster(t, kfake.SeedTopics(6, "troupe.order"))
	tr := MustTransport(t, config(c.ListenAddrs()))
	for _, step := range []func(){
		func() { MustPublish(t, tr, "order", numbered("k", 0, 1)...) },
		func() { Next(t, MustSubscribe(t, tr, "order")).Ack() },
	} {
		handle := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Err: kerr.LeaderNotAvailable, Count: 5})
		step()
		if handle.Hits() != 5 {
			t.Errorf("the fault happened %d times, want 5", handle.Hits())
		}
	}
}

// TestLostAnswer: a batch that was stored although its answer was lost is stored once.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]*kerr.Error{"timed out": kerr.RequestTimedOut, "replicas": kerr.NotEnoughReplicasAfterAppend} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := MustCluster(t)
			tr := MustTransport(t, config(c.ListenAddrs()))
			MustPublish(t, tr, "order", numbered("k", 0, 1)...)
			handle := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: fault, Count: 3})
			MustPublish(t, tr, "order", numbered("k", 1, 10)...)
			if handle.Hits() == 0 {
				t.Error("the fault did not happen")
			}
			MustPublish(t, tr, "order", numbered("k", 10, 20)...)
			if n := ordered(t, MustSubscribe(t, tr, "order"), map[string]int{"k": 20}); n > 0 {
				t.Errorf("%d messages came twice", n)
			}
		})
	}
}

// TestFailureStops: when a batch is refused, no later one of its partition is stored, so that sending everything again keeps the
// order. Sarama's own producer goes on with what comes behind.
func TestFailureStops(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]*kerr.Error{
		"refused": kerr.InvalidRecord, "out of order": kerr.OutOfOrderSequenceNumber, "lasting": kerr.NotEnoughReplicas,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := MustCluster(t)
			cfg, count := config(c.ListenAddrs()), 1
			if name == "lasting" {
				cfg.Timeout, count = 300*time.Millisecond, -1
			}
			tr := MustTransport(t, cfg)
			MustPublish(t, tr, "order", numbered("a", 0, 1)...)
			handle := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: fault, Count: count})
			msgs := numbered("a", 1, 30) // of 100 kB each: three batches
			for i, m := range msgs {
				m.Payload = fmt.Appendf(make([]byte, 0, 100_000), "%0100000d", i+1)
			}
			err := tr.Publish("order", msgs...)
			if err == nil {
				t.Fatal("Publish has no error")
			}
			if text := err.Error(); strings.Count(text, fault.Description[:10]) > 1 || len(text) > 1000 {
				t.Errorf("the error repeats itself: %v", err)
			}
			handle.Remove()
			if err := insist(tr, msgs); err != nil {
				t.Fatal(err)
			}
			n := ordered(t, MustSubscribe(t, tr, "order"), map[string]int{"a": 30})
			if name != "lasting" && n > 0 { // what was on its way when the time was over may be stored, and comes twice
				t.Errorf("%d messages were stored although a batch before them was not", n)
			}
		})
	}
}

// TestConcurrentFailure: of calls that share their way, each hears of its own messages.
func TestConcurrentFailure(t *testing.T) {
	t.Parallel()
	c := MustCluster(t)
	tr := MustTransport(t, config(c.ListenAddrs()))
	MustPublish(t, tr, "order", numbered("21", 0, 1)...) // partition 0
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.InvalidRecord, Count: -1, Partitions: []int32{0}, Topic: "troupe.order"})
	var wg sync.WaitGroup
	var mu sync.Mutex
	errs := map[string][]error{}
	for i := range 40 {
		key := []string{"21", "2"}[i%2] // partitions 0 and 2
		wg.Go(func() {
			err := tr.Publish("order", numbered(key, 0, 1)...)
			mu.Lock()
			defer mu.Unlock()
			errs[key] = append(errs[key], err)
		})
	}
	wg.Wait()
	for _, err := range errs["21"] {
		if err == nil {
			t.Error("a message that was refused was published")
		}
	}
	for _, err := range errs["2"] {
		if err != nil {
			t.Errorf("a message that was taken was not published: %v", err)
		}
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	c := MustCluster(t)
	if err := c.CreateTopic("troupe.small", 1, map[string]string{"max.message.bytes": "2000"}); err != nil {
		t.Fatal(err)
	}
	tr := MustTransport(t, config(c.ListenAddrs()))
	for topic, size := range map[string]int{"small": 3000, "order": tr.Features().MaxPayload + 1} {
		fits := numbered("k", 0, 1)
		large := numbered("k", 1, 2)
		large[0].Payload = make([]byte, size)
		err := tr.Publish(topic, append(fits, large...)...)
		if !errors.Is(err, kafka.ErrTooLarge) || !strings.Contains(err.Error(), strconv.Itoa(size)) {
			t.Errorf("%d bytes for %s: %v", size, topic, err)
		}
		MustPublish(t, tr, topic, numbered("k", 2, 3)...)
		if m := Next(t, MustSubscribe(t, tr, topic)); m.UUID != "k-2" {
			t.Errorf("%s was published by a call that failed", m.UUID)
		}
	}
}
