package kafka

import (
	"encoding/binary"
	"hash/crc32"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/troupebus/troupe/bus/wire"
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

// head is what a batch begins with that is so long, of the offsets from first up to last.
func head(first int64, last int32, size int) []byte {
	b := kmsg.RecordBatch{FirstOffset: first, Magic: 2, LastOffsetDelta: last, NumRecords: last + 1, Length: int32(size - 12)}
	return b.AppendTo(nil)
}

// TestLargeBatch: when a batch does not fit into what is asked for, more is asked for. One that never fits is told, and passed over.
func TestLargeBatch(t *testing.T) {
	t.Parallel()
	p := &partition{s: &subscription{topic: "x", t: &Transport{}}, size: fetchBytes, known: true, offset: 7, feed: make(chan chunk, 1)}
	take := func(size int) {
		if err := p.take(&answer{blocks: map[int32]*block{0: {stable: 20, records: head(7, 2, size)}}}, false); err != nil {
			t.Fatal(err)
		}
	}
	take(5 << 20)
	if p.size != 5<<20 || len(p.feed) != 0 {
		t.Errorf("asked for %d bytes, want %d", p.size, 5<<20)
	}
	take(fetchMost + 1)
	if p.offset != 10 || len(p.feed) != 1 {
		t.Fatalf("it reads on at %d, want 10", p.offset)
	}
	c := <-p.feed
	p.todo = c.packs
	if m := p.next(); m == nil || m.next != 10 || !strings.Contains(m.msg.Metadata[wire.MetaTrouble], "offsets 7 to 9 are a single batch of 67108865 bytes") {
		t.Errorf("of a batch that cannot be fetched it tells %v", m)
	}
}

// TestOldFormat: records in the formats before 0.11 are told as trouble, and what follows is read.
func TestOldFormat(t *testing.T) {
	t.Parallel()
	p := &partition{s: &subscription{topic: "x"}, offset: 5}
	old := func(offset int64) []byte {
		m := binary.BigEndian.AppendUint64(nil, uint64(offset))
		return append(binary.BigEndian.AppendUint32(m, 10), 0, 0, 0, 0, 1, 0, 0, 0, 0, 0)
	}
	raw := emptied(1)
	binary.BigEndian.PutUint64(raw, 9)
	c, _, err := p.read(&block{records: slices.Concat(old(5), old(8), raw)})
	if err != nil || len(c.packs) != 1 || c.end != 11 || !strings.Contains(c.packs[0].trouble, "offsets 5 to 8") || c.packs[0].end != 9 {
		t.Errorf("read as %+v up to %d: %v", c.packs, c.end, err)
	}
}
