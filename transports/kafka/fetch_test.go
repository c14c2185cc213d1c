package kafka

import (
	"hash/crc32"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// emptied is a batch of the offsets up to last from which everything was compacted away.
func emptied(last int32) []byte {
	b := kmsg.RecordBatch{Magic: 2, LastOffsetDelta: last, ProducerID: 1}
	raw := b.AppendTo(nil)
	b.Length = int32(len(raw) - 12)
	raw = b.AppendTo(nil)
	b.CRC = int32(crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b.AppendTo(nil)
}

// TestEmptiedBatch: a batch without records is skipped, and nothing else is.
func TestEmptiedBatch(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "troupe.order"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tr, err := New(Config{Brokers: c.ListenAddrs(), Group: "g", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	for n := range 12 {
		m := message.NewMessage(strconv.Itoa(n), nil)
		m.Metadata[subjectHeader] = "21" // partition 0 of 2
		if err := tr.Publish("order", m); err != nil {
			t.Fatal(err)
		}
	}
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		r := req.(*kmsg.FetchRequest)
		res := r.ResponseKind().(*kmsg.FetchResponse)
		for _, topic := range r.Topics {
			answer := kmsg.NewFetchResponseTopic()
			answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				if p.Partition == 0 && p.FetchOffset >= 10 {
					return nil, nil, false // for real
				}
				a := kmsg.NewFetchResponseTopicPartition()
				a.Partition = p.Partition
				if p.Partition == 0 {
					a.HighWatermark, a.LastStableOffset, a.RecordBatches = 12, 12, emptied(9)
				}
				answer.Partitions = append(answer.Partitions, a)
			}
			res.Topics = append(res.Topics, answer)
		}
		return res, nil, true
	})
	in, err := tr.Subscribe(t.Context(), "order")
	if err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-in:
		if m.UUID != "10" {
			t.Errorf("got %s, want 10", m.UUID)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
	}
}

// TestLargeBatch: when a batch does not fit into what is asked for, more is asked for, up to a limit that is told.
func TestLargeBatch(t *testing.T) {
	t.Parallel()
	p := &partition{s: &subscription{topic: "x", t: &Transport{}}, size: fetchBytes, known: true, offset: 7, feed: make(chan chunk, 1)}
	res := &sarama.FetchResponse{Blocks: map[string]map[int32]*sarama.FetchResponseBlock{"x": {0: {Partial: true, LastStableOffset: 9}}}}
	var err error
	for grown := 0; err == nil && grown < 100; grown++ {
		err = p.take(res, false)
	}
	if p.size != fetchMost || err == nil || !strings.Contains(err.Error(), "x/0/7") {
		t.Errorf("asked for %d bytes at last, then: %v", p.size, err)
	}
}

// TestOldFormat: records in the formats before 0.11 are told as trouble, and what follows is read.
func TestOldFormat(t *testing.T) {
	t.Parallel()
	p := &partition{offset: 5}
	old := &sarama.MessageSet{Messages: []*sarama.MessageBlock{{Offset: 5}, {Offset: 8}}}
	now := &sarama.RecordBatch{FirstOffset: 9, LastOffsetDelta: 1, Records: []*sarama.Record{{}, {OffsetDelta: 1}}}
	c, _ := p.read(&sarama.FetchResponseBlock{RecordsSet: []*sarama.Records{{MsgSet: old}, {RecordBatch: now}}})
	if len(c.entries) != 3 || c.end != 11 || !strings.Contains(c.entries[0].trouble, "offsets 5 to 8") || c.entries[0].next != 9 || c.entries[2].offset != 10 {
		t.Errorf("read as %+v up to %d", c.entries, c.end)
	}
}
