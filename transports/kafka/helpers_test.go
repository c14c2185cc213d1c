package kafka_test

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/troupebus/troupe/transports/kafka"
)

// MustCluster starts a Kafka in this process that keeps nothing, and ends with the test.
func MustCluster(tb testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	tb.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// config is for tests: short waits, and silence.
func config(brokers []string) kafka.Config {
	return kafka.Config{Brokers: brokers, Group: "g", Timeout: 5 * time.Second, Logger: slog.New(slog.DiscardHandler)}
}

// MustTransport makes a transport that is closed with the test.
func MustTransport(tb testing.TB, cfg kafka.Config) *kafka.Transport {
	tb.Helper()
	t, err := kafka.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := t.Close(); err != nil {
			tb.Error(err)
		}
	})
	return t
}

// MustSubscribe subscribes until the test ends.
func MustSubscribe(tb testing.TB, t *kafka.Transport, topic string) <-chan *message.Message {
	tb.Helper()
	out, err := t.Subscribe(tb.Context(), topic)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// MustPublish publishes messages.
func MustPublish(tb testing.TB, t *kafka.Transport, topic string, msgs ...*message.Message) {
	tb.Helper()
	if err := t.Publish(topic, msgs...); err != nil {
		tb.Fatal(err)
	}
}

// Next takes a message, and fails the test if none comes.
func Next(tb testing.TB, in <-chan *message.Message) *message.Message {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	select {
	case m, ok := <-in:
		if !ok {
			tb.Fatal("the channel closed")
		}
		return m
	case <-ctx.Done():
		tb.Fatal("no message came")
	}
	return nil
}

// numbered makes messages that are number n of key, from and up to.
func numbered(key string, from, to int) []*message.Message {
	var msgs []*message.Message
	for n := from; n < to; n++ {
		id := key + "-" + strconv.Itoa(n)
		m := message.NewMessage(id, []byte(strconv.Itoa(n)))
		m.Metadata["ce_id"], m.Metadata["ce_subject"] = id, key
		msgs = append(msgs, m)
	}
	return msgs
}

// pause waits, where there is no event to wait for.
func stay(d time.Duration) { <-time.After(d) }

// eventually waits until done, which looks at what only a broker or the runtime knows, and fails the test after 10 s.
func eventually(tb testing.TB, done func() bool, format string, args ...any) {
	tb.Helper()
	for began := time.Now(); !done(); stay(10 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			tb.Fatalf("not after 10 s: "+format, args...)
		}
	}
}
