package kafka_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	wkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/transports/kafka"
)

// TestForeign: what others wrote arrives as it is, and nobody speaks for the transport.
func TestForeign(t *testing.T) {
	t.Parallel()
	cfg := config(MustCluster(t).ListenAddrs())
	cfg.Partitions = 1
	tr := MustTransport(t, cfg)
	in := MustSubscribe(t, tr, "order")
	header := func(pairs ...string) (h []sarama.RecordHeader) {
		for i := 0; i < len(pairs); i += 2 {
			h = append(h, sarama.RecordHeader{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
		}
		return h
	}
	const topic = "troupe.order"
	err := send(cfg.Brokers,
		&sarama.ProducerMessage{Topic: topic},
		&sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder("v"), Headers: header("a", "1", "a", "2")},
		&sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder("k"), Headers: header("ce_id", "x", "ce_subject", "k")},
		&sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(""), Headers: []sarama.RecordHeader{{Key: []byte("null")}}},
		&sarama.ProducerMessage{Topic: topic, Headers: header("_watermill_message_uuid", "u", "_troupe_trouble", "t", "_troupe_key", "k", "_troupe_place", "p")},
	)
	if err != nil {
		t.Fatal(err)
	}
	position := func(offset string) string { return topic + "/0/" + offset }
	for i, want := range []*message.Message{
		{UUID: position("0"), Metadata: message.Metadata{wire.MetaPosition: position("0")}},
		{UUID: position("1"), Metadata: message.Metadata{wire.MetaPosition: position("1"), wire.MetaKey: "k", "a": "2"}, Payload: []byte("v")},
		{UUID: "x", Metadata: message.Metadata{wire.MetaPosition: position("2"), "ce_id": "x", "ce_subject": "k"}},
		{UUID: position("3"), Metadata: message.Metadata{wire.MetaPosition: position("3"), "null": ""}},
		{UUID: "u", Metadata: message.Metadata{wire.MetaPosition: position("4")}},
	} {
		got := Next(t, in)
		if !got.Equals(want) || got.Payload == nil {
			t.Errorf("%d: got %s %v %q, want %s %v %q", i, got.UUID, got.Metadata, got.Payload, want.UUID, want.Metadata, want.Payload)
		}
		if cap(got.Payload) > len(got.Payload) {
			t.Errorf("%d: whoever appends to the payload writes into the next one", i)
		}
	}
}

// TestTransactions: of another program's transactions, those that are committed are read, and no others. The position moves
// behind them all.
func TestTransactions(t *testing.T) {
	t.Parallel()
	cfg := config(MustCluster(t).ListenAddrs())
	cfg.Partitions = 1
	tr := MustTransport(t, cfg)
	in := MustSubscribe(t, tr, "order")
	s := sarama.NewConfig()
	s.Version = sarama.V3_6_0_0
	s.Producer.Idempotent, s.Producer.RequiredAcks, s.Net.MaxOpenRequests = true, sarama.WaitForAll, 1
	s.Producer.Return.Successes = true
	s.Producer.Transaction.ID = "other"
	p, err := sarama.NewSyncProducer(cfg.Brokers, s)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i, end := range []func() error{p.CommitTxn, p.AbortTxn, p.AbortTxn, p.CommitTxn, p.AbortTxn} {
		if err := p.BeginTxn(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: "troupe.order", Value: sarama.StringEncoder("abcde"[i : i+1])}); err != nil {
				t.Fatal(err)
			}
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	var got []byte
	for range 6 {
		m := Next(t, in)
		got = append(got, m.Payload...)
		m.Ack()
	}
	if string(got) != "aaaddd" {
		t.Errorf("got %q, want aaaddd", got)
	}
	eventually(t, func() bool { return keptPosition(t, cfg.Brokers, "g", "troupe.order", 0) == 20 }, "a position behind the last aborted transaction")
}

// TestOpenTransaction: what waits for a transaction that another program leaves open is told, with where, until that ends.
func TestOpenTransaction(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, brokers []string) {
		cfg := alone(brokers).WithPatience(time.Second)
		topic := cfg.Prefix + ".order"
		tr := MustTransport(t, cfg)
		reported := make(chan error, 1000)
		in, err := tr.Subscribe(wire.WithReport(t.Context(), func(err error) { reported <- err }), "order")
		if err != nil {
			t.Fatal(err)
		}
		s := sarama.NewConfig()
		s.Version = sarama.V3_6_0_0
		s.Producer.Idempotent, s.Producer.RequiredAcks, s.Net.MaxOpenRequests = true, sarama.WaitForAll, 1
		s.Producer.Return.Successes = true
		s.Producer.Transaction.ID = "other" + cfg.Group
		p, err := sarama.NewSyncProducer(brokers, s)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if err := p.BeginTxn(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("theirs")}); err != nil {
			t.Fatal(err)
		}
		MustPublish(t, tr, "order", numbered("k", 0, 1)...)
		for err = nil; err == nil; err = <-reported {
			continue
		}
		for _, part := range []string{topic + ", partition 0", "offsets 0 to 1 wait", "kafka-transactions.sh"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("it tells %q, which has no %q", err, part)
			}
		}
		if err := p.CommitTxn(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			Next(t, in).Ack()
		}
		for err != nil {
			err = <-reported
		}
	})
}

// TestPlainWatermillKafka: programs that use watermill-kafka read and write the same topics, with its own marshaler or with
// ours.
func TestPlainWatermillKafka(t *testing.T) {
	t.Parallel()
	cfg := config(MustCluster(t).ListenAddrs())
	tr := MustTransport(t, cfg)
	sent := numbered("k", 0, 1)[0]
	MustPublish(t, tr, "order", sent)
	in := MustSubscribe(t, tr, "order")
	Next(t, in).Ack()
	published := 1
	for name, marshaler := range map[string]wkafka.MarshalerUnmarshaler{"its own": wkafka.DefaultMarshaler{}, "ours": kafka.Marshaler{}} {
		pub, err := wkafka.NewPublisher(wkafka.PublisherConfig{Brokers: cfg.Brokers, Marshaler: marshaler}, watermill.NopLogger{})
		if err != nil {
			t.Fatal(err)
		}
		if err := pub.Publish("troupe.order", message.NewMessage("plain-1", []byte("x"))); err != nil {
			t.Fatal(err)
		}
		if m := Next(t, in); m.UUID != "plain-1" || string(m.Payload) != "x" {
			t.Errorf("with %s marshaler it wrote %s %q", name, m.UUID, m.Payload)
		} else {
			m.Ack()
		}
		s := wkafka.DefaultSaramaSubscriberConfig()
		s.Version, s.Consumer.Offsets.Initial = sarama.V3_6_0_0, sarama.OffsetOldest
		sub, err := wkafka.NewSubscriber(wkafka.SubscriberConfig{
			Brokers: cfg.Brokers, Unmarshaler: marshaler, OverwriteSaramaConfig: s, ConsumerGroup: "plain " + name,
		}, watermill.NopLogger{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := sub.Subscribe(t.Context(), "troupe.order")
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		published++
		for range published {
			m := Next(t, out)
			ids = append(ids, m.UUID+m.Metadata["ce_id"])
			m.Ack()
		}
		want := "k-0k-0"
		if !slices.Contains(ids, want) && name == "ours" {
			t.Errorf("with %s marshaler it read %v, want %s among them", name, ids, want)
		}
		if err := errors.Join(pub.Close(), sub.Close()); err != nil {
			t.Error(err)
		}
	}
}

// TestNoTombstone: a message without a payload has an empty value, as no value deletes what a compacted topic has of its key.
func TestNoTombstone(t *testing.T) {
	t.Parallel()
	r, err := kafka.Marshaler{}.Marshal("x", message.NewMessage("id", nil))
	if err != nil {
		t.Fatal(err)
	}
	if value, err := r.Value.Encode(); err != nil || value == nil {
		t.Errorf("the value is %v, %v, want an empty one", value, err)
	}
}

// TestCompacted: of a topic that somebody has compacted, what is left is read, and the position moves over the rest.
func TestCompacted(t *testing.T) {
	t.Parallel()
	c := MustCluster(t)
	if err := c.CreateTopic("troupe.order", 1, map[string]string{
		"min.cleanable.dirty.ratio": "0", "segment.bytes": "1000", "delete.retention.ms": "0",
	}); err != nil {
		t.Fatal(err)
	}
	cfg := config(c.ListenAddrs())
	tr := MustTransport(t, cfg)
	for n := range 50 {
		MustPublish(t, tr, "order", numbered("a", n, n+1)...)
	}
	MustPublish(t, tr, "order", numbered("b", 0, 1)...)
	setting(t, cfg.Brokers, "troupe.order", "cleanup.policy", "compact")
	c.Compact()
	setting(t, cfg.Brokers, "troupe.order", "cleanup.policy", "delete")
	MustPublish(t, tr, "order", numbered("c", 0, 1)...)
	in := MustSubscribe(t, tr, "order")
	n := 0
	for m := Next(t, in); ; m = Next(t, in) {
		m.Ack()
		if n++; m.UUID == "c-0" {
			break
		}
	}
	if n > 25 {
		t.Errorf("%d messages came: nothing was compacted", n)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if at := keptPosition(t, cfg.Brokers, "g", "troupe.order", 0); at != 52 {
		t.Errorf("the position is %d, want 52", at)
	}
}
