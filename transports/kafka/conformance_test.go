package kafka_test

import (
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/bus/wire/wiretest"
)

// TestConformance holds the transport to every promise of wire.Transport.
func TestConformance(t *testing.T) {
	conformance(t, MustCluster(t).ListenAddrs())
}

// TestPositions holds the transport to what it promises of positions.
func TestPositions(t *testing.T) {
	both(t, func(t *testing.T, brokers []string) { wiretest.Positions(t, carrier(t, brokers, 1)) })
}

func conformance(t *testing.T, brokers []string) {
	wiretest.Transport(t, carrier(t, brokers, 0))
}

// carrier is Kafka with topics of so many partitions, 0 for the default.
func carrier(t *testing.T, brokers []string, partitions int32) wiretest.Harness {
	// Sarama's go-metrics starts a goroutine that stays with the process, at the first connection.
	MustPublish(t, MustTransport(t, alone(brokers)), "order", numbered("k", 0, 1)...)
	return wiretest.Harness{
		CanCut: true,
		Open: func(tb testing.TB, group, prefix string, dial wiretest.Dialer) wire.Transport {
			cfg := config(brokers)
			cfg.Group, cfg.Prefix, cfg.Dial, cfg.Timeout, cfg.Partitions = group, prefix, dial, 3*time.Second, partitions
			return MustTransport(tb, cfg)
		},
		Foreign: func(tb testing.TB, m wiretest.Foreign) error {
			msg := &sarama.ProducerMessage{Topic: m.Prefix + "." + m.Topic}
			if m.Key != nil {
				msg.Key = sarama.ByteEncoder(m.Key)
			}
			if m.Payload != nil {
				msg.Value = sarama.ByteEncoder(m.Payload)
			}
			for k, v := range m.Headers {
				msg.Headers = append(msg.Headers, sarama.RecordHeader{Key: []byte(k), Value: []byte(v)})
			}
			return send(brokers, msg)
		},
		Forget: func(tb testing.TB, group, _, _ string) {
			admin := MustAdmin(tb, brokers)
			defer admin.Close()
			if err := admin.DeleteConsumerGroup(group); err != nil {
				tb.Fatal(err)
			}
		},
	}
}

// send writes as another program would, with a partitioner that places keys as Java's does.
func send(brokers []string, msgs ...*sarama.ProducerMessage) error {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V3_6_0_0
	cfg.Producer.Return.Successes = true
	cfg.Producer.Partitioner = sarama.NewMurmur2Partitioner
	cfg.Metadata.Retry.Backoff = 50 * time.Millisecond
	p, err := sarama.NewSyncProducer(brokers, cfg)
	if err != nil {
		return err
	}
	defer p.Close()
	return p.SendMessages(msgs)
}
