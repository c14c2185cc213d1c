package postgres_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/postgres"
)

const benchBatch = 500

// events are n events of 200 bytes, as the relay sends them.
func events(n int) []*message.Message {
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = wire.Encode(&journal.Event{
			ID: fmt.Sprintf("event-%d", i), Type: "order.placed", Version: 1, Source: "order", Key: fmt.Sprint(i % 100), Time: time.Now(),
			CorrelationID: fmt.Sprint(i), Data: bytes.Repeat([]byte("x"), 200),
		})
	}
	return msgs
}

// BenchmarkPublish publishes in batches; one iteration is one message.
func BenchmarkPublish(b *testing.B) {
	tr := MustNew(b, postgres.Config{URL: servers.Postgres(b)})
	batch := events(benchBatch)
	MustPublish(b, tr, "order", batch...)
	for n := 0; b.Loop(); n++ {
		if n%benchBatch == 0 {
			MustPublish(b, tr, "order", batch...)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkConsume reads what is there, and acknowledges in batches; one iteration is one message.
func BenchmarkConsume(b *testing.B) {
	const backlog = 200_000
	url := servers.Postgres(b)
	tr, batch := MustNew(b, postgres.Config{URL: url}), events(benchBatch)
	for range backlog / benchBatch {
		MustPublish(b, tr, "order", batch...)
	}
	var in <-chan *message.Message
	var held []*message.Message
	for n := 0; b.Loop(); n++ {
		if n%backlog == 0 { // a group that reads it from the start
			in = MustSubscribe(b.Context(), b, MustNew(b, postgres.Config{URL: url, Group: fmt.Sprint(n)}), "order")
		}
		if held = append(held, MustNext(b, in)); len(held) == benchBatch {
			for _, msg := range held {
				msg.Ack()
			}
			held = held[:0]
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkLatency publishes one message at a time to a reader that is idle.
func BenchmarkLatency(b *testing.B) {
	tr := MustNew(b, postgres.Config{URL: servers.Postgres(b)})
	in := MustSubscribe(b.Context(), b, tr, "order")
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		MustPublish(b, tr, "order", events(1)...)
		MustNext(b, in).Ack()
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
