package kafka_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
)

// TestKeysArePlacedAsByJava: the numbers are those of Utils.toPositive(Utils.murmur2(key)) % partitions in kafka-clients 4.1.1.
func TestKeysArePlacedAsByJava(t *testing.T) {
	t.Parallel()
	brokers := MustCluster(t).ListenAddrs()
	want := map[string][2]int{
		"2": {2, 2}, "21": {0, 3}, "foobar": {0, 0}, "a-little-bit-long-string": {2, 1}, "a-little-bit-longer-string": {5, 0},
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": {5, 3}, "abc": {3, 4}, "order-1": {4, 4}, "order-42": {0, 1},
		"Grüße": {3, 4}, "customer/0001/ä": {1, 6},
	}
	for i, partitions := range []int32{6, 7} {
		cfg := config(brokers)
		cfg.Prefix, cfg.Partitions = fmt.Sprint("of", partitions), partitions
		tr := MustTransport(t, cfg)
		for key := range want {
			MustPublish(t, tr, "order", numbered(key, 0, 1)...)
		}
		in := MustSubscribe(t, tr, "order")
		for range want {
			m := Next(t, in)
			key := wire.Key(m)
			if position := m.Metadata[wire.MetaPosition]; !strings.HasPrefix(position, fmt.Sprintf("of%d.order/%d/", partitions, want[key][i])) {
				t.Errorf("key %q is at %s, want partition %d of %d", key, position, want[key][i], partitions)
			}
		}
	}
}

func TestMessagesWithoutKeySpread(t *testing.T) {
	t.Parallel()
	tr := MustTransport(t, config(MustCluster(t).ListenAddrs()))
	var msgs []*message.Message
	for i := range 60 {
		msgs = append(msgs, message.NewMessage(fmt.Sprint(i), nil))
	}
	MustPublish(t, tr, "order", msgs...)
	in := MustSubscribe(t, tr, "order")
	counts := map[string]int{}
	for range msgs {
		m := Next(t, in)
		position := m.Metadata[wire.MetaPosition]
		counts[position[:strings.LastIndex(position, "/")]]++
		if _, ok := m.Metadata[wire.MetaKey]; ok {
			t.Error("a message without a key came with one")
		}
	}
	if len(counts) != 6 {
		t.Errorf("60 messages without a key went to %v, want all 6 partitions", counts)
	}
}

// TestWindow: a partition has no more messages out than it may, and goes on with each that is acknowledged.
func TestWindow(t *testing.T) {
	t.Parallel()
	cfg := config(MustCluster(t).ListenAddrs())
	cfg.Window = 3
	tr := MustTransport(t, cfg)
	MustPublish(t, tr, "order", numbered("k", 0, 10)...)
	in := MustSubscribe(t, tr, "order")
	var out []*message.Message
	for n := range 10 {
		for len(out) < 3 && n+len(out) < 10 {
			m := Next(t, in)
			if want := fmt.Sprint("k-", n+len(out)); m.UUID != want {
				t.Fatalf("got %s, want %s", m.UUID, want)
			}
			out = append(out, m)
		}
		select {
		case m := <-in:
			t.Fatalf("%s came while %d were out", m.UUID, len(out))
		case <-time.After(20 * time.Millisecond): // long enough for what must not come
		}
		out[0].Ack()
		out = out[1:]
	}
}

// TestNack: what is nacked comes again when all before it are acknowledged, after those that were out, and others go on.
func TestNack(t *testing.T) {
	t.Parallel()
	tr := MustTransport(t, config(MustCluster(t).ListenAddrs()))
	MustPublish(t, tr, "order", numbered("k", 0, 5)...)
	in := MustSubscribe(t, tr, "order")
	var got []string
	for range 5 {
		m := Next(t, in)
		got = append(got, m.UUID)
		if m.UUID != "k-2" {
			m.Ack()
			continue
		}
		ctx := m.Context()
		if ctx.Err() != nil {
			t.Error("the context of a message that is out has ended")
		}
		m.Nack()
		<-ctx.Done()
		MustPublish(t, tr, "order", numbered("k", 5, 6)...)
	}
	for range 2 {
		m := Next(t, in)
		got = append(got, m.UUID)
		m.Ack()
		defer func() { <-m.Context().Done() }() // when all before it are acknowledged
	}
	slices.Sort(got[5:]) // the second delivery of k-2, and k-5
	if want := []string{"k-0", "k-1", "k-2", "k-3", "k-4", "k-2", "k-5"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestContextEndsWithSubscription: also of a message that is nacked, and was to be delivered again.
func TestContextEndsWithSubscription(t *testing.T) {
	t.Parallel()
	cfg := config(MustCluster(t).ListenAddrs())
	tr := MustTransport(t, cfg)
	MustPublish(t, tr, "order", numbered("k", 0, 2)...)
	type key struct{}
	in, err := tr.Subscribe(context.WithValue(t.Context(), key{}, "value"), "order")
	if err != nil {
		t.Fatal(err)
	}
	first, second := Next(t, in), Next(t, in)
	nacked := first.Context().Done()
	if second.Context().Value(key{}) != "value" {
		t.Error("the context has not the values of that of Subscribe")
	}
	first.Nack()
	<-nacked
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	<-second.Context().Done()
	if _, open := <-in; open {
		t.Error("the channel is open after Close")
	}
}

// TestSubscribedTwice: a position is one reader's at a time; another position of the same topic is another's.
func TestSubscribedTwice(t *testing.T) {
	t.Parallel()
	tr := MustTransport(t, config(MustCluster(t).ListenAddrs()))
	MustPublish(t, tr, "order", numbered("k", 0, 1)...)
	ctx, cancel := context.WithCancel(t.Context())
	in, err := tr.Subscribe(ctx, "order")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Subscribe(t.Context(), "order"); err == nil || !strings.Contains(err.Error(), "already subscribed") {
		t.Errorf("a second subscription: %v", err)
	}
	other, err := tr.Subscribe(wire.WithPosition(t.Context(), "other"), "order")
	if err != nil {
		t.Fatal(err)
	}
	Next(t, in).Ack()
	Next(t, other).Ack()
	cancel()
	for range in {
	}
	MustSubscribe(t, tr, "order")
}
