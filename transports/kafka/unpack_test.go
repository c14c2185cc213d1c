package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/troupebus/troupe/bus/wire"
)

// letters are n times the same one, which no memory is needed for.
func letters(n int) io.Reader { return io.LimitReader(repeated{}, int64(n)) }

type repeated struct{}

func (repeated) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// packer is what writes in a codec.
func packer(codec sarama.CompressionCodec, to io.Writer) io.WriteCloser {
	switch codec {
	case sarama.CompressionGZIP:
		return gzip.NewWriter(to)
	case sarama.CompressionLZ4:
		return lz4.NewWriter(to)
	case sarama.CompressionZSTD:
		w, err := zstd.NewWriter(to, zstd.WithEncoderConcurrency(1))
		if err != nil {
			panic(err)
		}
		return w
	default:
		return &snappyWriter{to: to}
	}
}

// snappyWriter writes the framing of Java's snappy.
type snappyWriter struct{ to io.Writer }

func (s *snappyWriter) Write(b []byte) (int, error) {
	one := snappy.Encode(nil, b)
	_, err := s.to.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(one))), one...))
	return len(b), err
}

func (s *snappyWriter) Close() error { return nil }

// swollen is a batch of three records as a broker stores it, of which the middle one has a value of that many bytes.
func swollen(t *testing.T, codec sarama.CompressionCodec, size int) []byte {
	t.Helper()
	var packed bytes.Buffer
	if codec == sarama.CompressionSnappy {
		packed.Write(append(bytes.Clone(snappyMagic), 0, 0, 0, 1, 0, 0, 0, 1))
	}
	w := packer(codec, &packed)
	for i, n := range []int{1, size, 1} {
		b := []byte{0, 0}
		b = binary.AppendVarint(b, int64(i))
		b = binary.AppendVarint(b, -1)
		b = binary.AppendVarint(b, int64(n))
		if _, err := w.Write(append(binary.AppendVarint(nil, int64(len(b)+n+1)), b...)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(struct{ io.Writer }{w}, letters(n)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UnixMilli()
	b := kmsg.RecordBatch{
		Magic: 2, Attributes: int16(codec), LastOffsetDelta: 2, NumRecords: 3, Records: packed.Bytes(),
		FirstTimestamp: now, MaxTimestamp: now, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, PartitionLeaderEpoch: -1,
	}
	b.Length = int32(len(b.AppendTo(nil)) - 12)
	b.CRC = int32(crc32.Checksum(b.AppendTo(nil)[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b.AppendTo(nil)
}

// TestSwollenRecord: of a record that is huge when it is unpacked the beginning comes, with its size and position, for little memory,
// and its neighbours come whole.
func TestSwollenRecord(t *testing.T) { // not parallel: it looks at the memory
	for _, codec := range []sarama.CompressionCodec{
		sarama.CompressionGZIP, sarama.CompressionLZ4, sarama.CompressionZSTD, sarama.CompressionSnappy,
	} {
		const size = 200 << 20
		raw := swollen(t, codec, size)
		p := &partition{s: &subscription{topic: "x", ctx: t.Context()}, names: map[string]string{}}
		c, _, err := p.read(&block{records: raw})
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p.todo = c.packs
		var got []*message.Message
		for d := p.next(); d != nil; d = p.next() {
			got = append(got, d.msg)
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; codec != sarama.CompressionSnappy && used > 64<<20 { // of which each block is a piece of its own
			t.Errorf("%v: it took %d bytes to read %d packed ones", codec, used, len(raw))
		}
		wantSwollen(t, codec.String(), got, "209715", "x/0/1")
	}
}

// wantSwollen checks the messages of a swollen batch.
func wantSwollen(t *testing.T, name string, got []*message.Message, size, position string) {
	t.Helper()
	if len(got) != 3 || string(got[0].Payload) != "x" || string(got[2].Payload) != "x" {
		t.Fatalf("%s: got %d messages, want the two neighbours and the beginning of the huge one", name, len(got))
	}
	m := got[1]
	trouble := m.Metadata[wire.MetaTrouble]
	if !strings.Contains(trouble, "offset 1") || !strings.Contains(trouble, "record is "+size) || len(m.Payload) != maxExcerpt || m.Metadata[wire.MetaPosition] != position {
		t.Errorf("%s: the huge one is %d bytes at %s: %q", name, len(m.Payload), m.Metadata[wire.MetaPosition], trouble)
	}
	if _, err := wire.Decode(m); err == nil {
		t.Errorf("%s: it is taken for an event", name)
	}
}

// TestUnpackedInSteps: a batch that is larger than what is unpacked at once is read whole.
func TestUnpackedInSteps(t *testing.T) {
	t.Parallel()
	for _, codec := range []sarama.CompressionCodec{
		sarama.CompressionGZIP, sarama.CompressionLZ4, sarama.CompressionZSTD, sarama.CompressionSnappy,
	} {
		p := &partition{s: &subscription{topic: "x", ctx: t.Context()}, names: map[string]string{}}
		c, _, err := p.read(&block{records: swollen(t, codec, maxRecord-100)})
		if err != nil {
			t.Fatal(err)
		}
		p.todo = c.packs
		for _, want := range []int{1, maxRecord - 100, 1} {
			if d := p.next(); d == nil || len(d.msg.Payload) != want || d.msg.Metadata[wire.MetaTrouble] != "" {
				t.Errorf("%v: got %v, want %d bytes", codec, d, want)
			}
		}
	}
}

// TestBrokenBatch: what cannot be unpacked is told, up to where it goes, and what follows is read.
func TestBrokenBatch(t *testing.T) {
	t.Parallel()
	for _, codec := range []sarama.CompressionCodec{sarama.CompressionGZIP, sarama.CompressionLZ4, sarama.CompressionZSTD, sarama.CompressionSnappy, 7, 0} {
		for _, packed := range []string{"", "\x00", "not packed", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01\x7f\xff\xff\xff"} {
			p := &partition{s: &subscription{topic: "x", ctx: t.Context()}, names: map[string]string{}}
			p.todo = []pack{
				{first: 4, from: 5, end: 7, count: 3, codec: codec, packed: []byte(packed)},
				{first: 7, from: 7, end: 8, count: 1, packed: []byte("\x0e\x00\x00\x00\x01\x02y\x00")},
			}
			d := p.next()
			if d == nil || d.offset != 5 || d.next != 7 || !strings.Contains(d.msg.Metadata[wire.MetaTrouble], "offsets 5 to 6 cannot be unpacked") {
				t.Fatalf("codec %d, %q: got %+v", codec, packed, d)
			}
			if d := p.next(); d == nil || string(d.msg.Payload) != "y" {
				t.Errorf("codec %d, %q: then comes %+v", codec, packed, d)
			}
		}
	}
}

// FuzzUnpack: whatever a batch is made of, reading it ends, and gives nothing from outside of it.
func FuzzUnpack(f *testing.F) {
	f.Add(int8(0), int32(1), []byte("\x0e\x00\x00\x00\x01\x02y\x00"))
	f.Add(int8(2), int32(3), []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, codec int8, count int32, packed []byte) {
		p := &partition{s: &subscription{topic: "x", ctx: context.Background()}, names: map[string]string{}}
		p.todo = []pack{{first: 4, from: 5, end: 9, count: count, codec: sarama.CompressionCodec(codec), packed: packed}}
		last := int64(4)
		for d := p.next(); d != nil; d = p.next() {
			if d.offset <= last || d.next > 9 {
				t.Fatalf("offset %d came behind %d", d.offset, last)
			}
			last = d.offset
		}
	})
}

// FuzzAnswer: whatever a broker answers to a fetch, it is read or refused.
func FuzzAnswer(f *testing.F) {
	f.Add(int16(12), []byte("\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x02x\x02\x00\x00\x00\x00"))
	f.Add(int16(11), bytes.Repeat([]byte{0}, 90))
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		a, err := parseFetch(body, version)
		if err != nil {
			return
		}
		for _, b := range a.blocks {
			p := &partition{s: &subscription{topic: "x", ctx: context.Background()}, names: map[string]string{}}
			c, _, err := p.read(b)
			if err == nil && c.end < 0 {
				t.Fatal("it reads backwards")
			}
		}
	})
}

// TestSwollenTopic: a topic with such a record is read to its end.
func TestSwollenTopic(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	swollenTopic(t, c.ListenAddrs(), 64<<20)
}

// TestRealSwollenTopic: see TestSwollenTopic. The record is a gigabyte.
func TestRealSwollenTopic(t *testing.T) {
	address := os.Getenv("TROUPE_TEST_KAFKA")
	if address == "" {
		t.Skip("TestRealSwollenTopic needs a real Kafka: make kafka, then TROUPE_TEST_KAFKA=127.0.0.1:9092 go test ...")
	}
	swollenTopic(t, []string{address}, 1000<<20)
}

func swollenTopic(t *testing.T, brokers []string, size int) {
	tr, err := New(Config{Brokers: brokers, Group: "g" + watermill.NewShortUUID(), Prefix: "p" + watermill.NewShortUUID(), Partitions: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	in, err := tr.Subscribe(t.Context(), "order") // makes the topic
	if err != nil {
		t.Fatal(err)
	}
	produceRaw(t, brokers, tr.cfg.Prefix+".order", swollen(t, sarama.CompressionZSTD, size))
	var got []*message.Message
	for range 3 {
		select {
		case m := <-in:
			m.Ack()
			got = append(got, m)
		case <-time.After(60 * time.Second):
			t.Fatal("the topic stands still")
		}
	}
	wantSwollen(t, "zstd", got, strconv.Itoa(size)[:3], tr.cfg.Prefix+".order/0/1")
}

// produceRaw writes a batch to partition 0 of a topic as it is.
func produceRaw(t *testing.T, brokers []string, topic string, batch []byte) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.MaxVersions(kversion.V3_6_0()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Version = -1, 10_000, 9
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = batch
	one := kmsg.NewProduceRequestTopic()
	one.Topic, one.Partitions = topic, append(one.Partitions, part)
	req.Topics = append(req.Topics, one)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	res, err := req.RequestWith(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	if code := res.Topics[0].Partitions[0].ErrorCode; code != 0 {
		t.Fatal(sarama.KError(code))
	}
}
