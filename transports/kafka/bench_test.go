package kafka_test

import (
	"bytes"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/transports/kafka"
)

// batch is how many messages a relay sends at once.
const batch = 500

// benchBrokers is a Kafka to measure: a real one where there is one.
func benchBrokers(b *testing.B) []string {
	if address := os.Getenv("TROUPE_TEST_KAFKA"); address != "" {
		return []string{address}
	}
	return MustCluster(b).ListenAddrs()
}

// events are a batch as a relay has it.
func events() []*message.Message {
	msgs := make([]*message.Message, batch)
	for i := range msgs {
		msgs[i] = wire.Encode(&journal.Event{
			ID: watermill.NewULID(), Type: "order.placed", Source: "order", Version: 1, Key: "order-" + strconv.Itoa(i%100),
			CorrelationID: watermill.NewULID(), Time: time.Now(), Data: bytes.Repeat([]byte(`{"n":"12345"},`), 15),
		})
	}
	return msgs
}

// BenchmarkPublish sends batches of events through Transport and through sarama's SendMessages in turn, which takes the same
// records ready-made, and reports both, and the ratio.
func BenchmarkPublish(b *testing.B) {
	brokers := benchBrokers(b)
	cfg := config(brokers)
	cfg.Prefix = "bench" + watermill.NewShortUUID()
	tr := MustTransport(b, cfg)
	raw := MustRaw(b, brokers)
	msgs := events()
	MustPublish(b, tr, "order", msgs...)
	var own, theirs time.Duration
	for b.Loop() {
		began := time.Now()
		MustPublish(b, tr, "order", msgs...)
		own += time.Since(began)

		var records []*sarama.ProducerMessage
		for _, m := range msgs {
			r, err := kafka.Marshaler{}.Marshal(cfg.Prefix+".order", m)
			if err != nil {
				b.Fatal(err)
			}
			records = append(records, r)
		}
		began = time.Now()
		if err := raw.SendMessages(records); err != nil {
			b.Fatal(err)
		}
		theirs += time.Since(began)
	}
	rate := func(d time.Duration) float64 { return float64(b.N*batch) / d.Seconds() }
	b.ReportMetric(rate(own), "own/s")
	b.ReportMetric(rate(theirs), "raw/s")
	b.ReportMetric(rate(own)/rate(theirs), "ratio")
	b.ReportMetric(0, "ns/op")
}

// MustRaw is sarama's producer as it would be used without Transport, with the same promises.
func MustRaw(tb testing.TB, brokers []string) sarama.SyncProducer {
	tb.Helper()
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V3_6_0_0
	cfg.Producer.RequiredAcks, cfg.Producer.Idempotent, cfg.Net.MaxOpenRequests = sarama.WaitForAll, true, 1
	cfg.Producer.Compression = sarama.CompressionLZ4
	cfg.Producer.Return.Successes = true
	cfg.Producer.Partitioner = sarama.NewMurmur2Partitioner
	raw, err := sarama.NewSyncProducer(brokers, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = raw.Close() })
	return raw
}

// BenchmarkPublishSmall has many callers send a message each.
func BenchmarkPublishSmall(b *testing.B) {
	cfg := config(benchBrokers(b))
	cfg.Prefix = "bench" + watermill.NewShortUUID()
	tr := MustTransport(b, cfg)
	msg := events()[0]
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := tr.Publish("order", msg); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkConsume receives and acknowledges events, as an ingest does.
func BenchmarkConsume(b *testing.B) {
	cfg := config(benchBrokers(b))
	cfg.Prefix = "bench" + watermill.NewShortUUID()
	tr := MustTransport(b, cfg)
	msgs := events()
	for n := 0; n < b.N; n += batch {
		MustPublish(b, tr, "order", msgs...)
	}
	b.ResetTimer()
	in := MustSubscribe(b, tr, "order")
	for range b.N {
		(<-in).Ack()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}
