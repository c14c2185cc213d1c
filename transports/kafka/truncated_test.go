package kafka_test

import (
	"testing"

	"github.com/IBM/sarama"
)

// TestTruncated: the broker lost messages that a group has read, as in an unclean leader election. That is reported,
// with the cure, and what the partition has is read again.
func TestTruncated(t *testing.T) {
	t.Parallel()
	cfg := config(MustCluster(t).ListenAddrs())
	cfg.Partitions = 1
	tr := MustTransport(t, cfg)
	MustPublish(t, tr, "order", numbered("k", 0, 3)...)
	client, err := sarama.NewClient(cfg.Brokers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	coordinator, err := client.Coordinator(cfg.Group)
	if err != nil {
		t.Fatal(err)
	}
	commit := sarama.NewOffsetCommitRequest(client.Config(), cfg.Group)
	commit.AddBlock("troupe.order", 0, 5, 0, "")
	if _, err := coordinator.CommitOffset(commit); err != nil {
		t.Fatal(err)
	}
	in := MustSubscribe(t, tr, "order")
	m := Next(t, in)
	wantTrouble(t, m, "troupe.order/0/5", "after the end", "send all of their events again")
	m.Ack()
	if m := Next(t, in); m.UUID != "k-0" {
		t.Errorf("then comes %s", m.UUID)
	}
}
