package kafka_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/transports/kafka"
)

// alone is for a test that shares a server: topics of one partition, and a group, that are nobody else's.
func alone(brokers []string) kafka.Config {
	cfg := config(brokers)
	cfg.Partitions, cfg.Group, cfg.Prefix = 1, "g"+watermill.NewShortUUID(), "p"+watermill.NewShortUUID()
	return cfg
}

// MustAdmin is how others look at it. Whoever asks for it closes it.
func MustAdmin(tb testing.TB, brokers []string) sarama.ClusterAdmin {
	tb.Helper()
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V3_6_0_0
	admin, err := sarama.NewClusterAdmin(brokers, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return admin
}

// keptPlace is the offset that Kafka's own tools show for a group.
func keptPosition(t *testing.T, brokers []string, group, topic string, partition int32) int64 {
	t.Helper()
	admin := MustAdmin(t, brokers)
	defer admin.Close()
	res, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {partition}})
	switch {
	case errors.Is(err, sarama.ErrGroupIDNotFound): // not yet
		return -1
	case err != nil:
		t.Fatal(err)
	}
	return res.GetBlock(topic, partition).Offset
}

// TestPosition: it is what is acknowledged without a gap, is kept while the subscription runs and when it ends, and the
// next process begins there.
func TestPosition(t *testing.T) {
	t.Parallel()
	position(t, MustCluster(t).ListenAddrs())
}

func position(t *testing.T, brokers []string) {
	cfg := alone(brokers)
	topic := cfg.Prefix + ".order"
	tr := MustTransport(t, cfg)
	MustPublish(t, tr, "order", numbered("k", 0, 10)...)
	in := MustSubscribe(t, tr, "order")
	var out []*message.Message
	for range 10 {
		out = append(out, Next(t, in))
	}
	for _, n := range []int{0, 1, 2, 3, 5, 6, 9} {
		out[n].Ack()
	}
	eventually(t, func() bool { return keptPosition(t, brokers, cfg.Group, topic, 0) == 4 }, "a position of 4")
	out[4].Ack()
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if at := keptPosition(t, brokers, cfg.Group, topic, 0); at != 7 {
		t.Errorf("after Close the position is %d, want 7", at)
	}
	second := MustTransport(t, cfg)
	if m := Next(t, MustSubscribe(t, second, "order")); m.UUID != "k-7" {
		t.Errorf("the next process begins with %s, want k-7", m.UUID)
	}
}

// TestPositionBeforeAnything: a group that has read nothing has a position all the same, so that what is deleted then is missed.
func TestPositionBeforeAnything(t *testing.T) {
	t.Parallel()
	c := MustCluster(t)
	cfg := config(c.ListenAddrs())
	cfg.Partitions = 1
	tr := MustTransport(t, cfg)
	MustPublish(t, tr, "order", numbered("k", 0, 10)...)
	MustSubscribe(t, tr, "order")
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if at := keptPosition(t, cfg.Brokers, "g", "troupe.order", 0); at != 0 {
		t.Errorf("the position is %d, want 0", at)
	}
}

// gone deletes the first messages of partition 0.
func gone(t *testing.T, brokers []string, topic string, before int64) {
	t.Helper()
	admin := MustAdmin(t, brokers)
	defer admin.Close()
	if err := admin.DeleteRecords(topic, map[int32]int64{0: before}); err != nil {
		t.Fatal(err)
	}
}

// wantTrouble checks the message that tells of a gap.
func wantTrouble(t *testing.T, m *message.Message, position string, parts ...string) {
	t.Helper()
	trouble := m.Metadata[wire.MetaTrouble]
	for _, part := range append(parts, position[:strings.Index(position, "/")], "partition 0") {
		if !strings.Contains(trouble, part) {
			t.Errorf("trouble %q (%s) does not tell %q", trouble, m.UUID, part)
		}
	}
	if m.UUID != position || m.Metadata[wire.MetaPosition] != position {
		t.Errorf("trouble has the id %s and the position %s, want %s", m.UUID, m.Metadata[wire.MetaPosition], position)
	}
	if _, err := wire.Decode(m); err == nil || err.Error() != trouble {
		t.Errorf("decoded, it is %v", err)
	}
}

// TestGap: messages that were deleted before they were read are told, until that is acknowledged.
func TestGap(t *testing.T) {
	t.Parallel()
	gap(t, MustCluster(t).ListenAddrs())
}

func gap(t *testing.T, brokers []string) {
	cfg := alone(brokers)
	topic := cfg.Prefix + ".order"
	tr := MustTransport(t, cfg)
	MustPublish(t, tr, "order", numbered("k", 0, 20)...)
	ctx, cancel := context.WithCancel(t.Context())
	in, err := tr.Subscribe(ctx, "order")
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		Next(t, in).Ack()
	}
	cancel()
	for range in {
	}
	gone(t, brokers, topic, 8)
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		in, err := tr.Subscribe(ctx, "order")
		if err != nil {
			t.Fatal(err)
		}
		wantTrouble(t, Next(t, in), topic+"/0/5", "offsets 5 to 7 are gone")
		if m := Next(t, in); m.UUID != "k-8" {
			t.Errorf("after the gap comes %s, want k-8", m.UUID)
		}
		cancel()
		for range in {
		}
	}
	in = MustSubscribe(t, tr, "order")
	Next(t, in).Ack()
	Next(t, in).Ack()
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if at := keptPosition(t, brokers, cfg.Group, topic, 0); at != 9 {
		t.Errorf("after the gap and one message the position is %d, want 9", at)
	}
}

// TestTopicMadeAnew: the position lies behind the end of what is now there. Whether the subscription sees that first, or that the topic is
// another one, for which it ends and is to be begun again, is up to chance.
func TestTopicMadeAnew(t *testing.T) {
	t.Parallel()
	c := MustCluster(t)
	cfg := config(c.ListenAddrs()).WithPatience(500 * time.Millisecond)
	cfg.Partitions = 1
	tr := MustTransport(t, cfg)
	MustPublish(t, tr, "order", numbered("k", 0, 5)...)
	in := MustSubscribe(t, tr, "order")
	for range 5 {
		Next(t, in).Ack()
	}
	if err := c.DeleteTopic("troupe.order"); err != nil {
		t.Fatal(err)
	}
	if err := c.CreateTopic("troupe.order", 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := send(cfg.Brokers, &sarama.ProducerMessage{Topic: "troupe.order", Headers: []sarama.RecordHeader{{Key: []byte("ce_id"), Value: []byte("new")}}}); err != nil {
		t.Fatal(err)
	}
	var m *message.Message
	position := "troupe.order/0/5"
	select {
	case m = <-in:
	case <-time.After(20 * time.Second):
		t.Fatal("no message came")
	}
	if m == nil {
		in, position = MustSubscribe(t, tr, "order"), "troupe.order/0/0"
		m = Next(t, in)
	}
	wantTrouble(t, m, position, "made anew")
	m.Ack()
	if m := Next(t, in); m.UUID != "new" {
		t.Errorf("then comes %s", m.UUID)
	}
}

// TestNewPartitions: those that are added are found, and read from their oldest message.
func TestNewPartitions(t *testing.T) {
	t.Parallel()
	c := MustCluster(t)
	cfg := config(c.ListenAddrs())
	cfg.Partitions, cfg.Refresh = 1, 50*time.Millisecond
	tr := MustTransport(t, cfg)
	in := MustSubscribe(t, tr, "order")

	admin := MustAdmin(t, cfg.Brokers)
	defer admin.Close()
	if err := admin.CreatePartitions("troupe.order", 4, nil, false); err != nil {
		t.Fatal(err)
	}
	var msgs []*sarama.ProducerMessage
	for i := range 40 {
		msgs = append(msgs, &sarama.ProducerMessage{Topic: "troupe.order", Key: sarama.StringEncoder(strconv.Itoa(i))})
	}
	if err := send(cfg.Brokers, msgs...); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range msgs {
		m := Next(t, in)
		seen[m.UUID[:len("troupe.order/0")]] = true
		m.Ack()
	}
	if len(seen) != 4 {
		t.Errorf("messages came from %v, want 4 partitions", seen)
	}
}
