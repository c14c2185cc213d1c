package kafka

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/IBM/sarama"
)

// answer is a broker's answer to a fetch of one topic's partitions.
type answer struct {
	throttled     bool
	err           sarama.KError
	blocks        map[int32]*block // by partition
	withoutTopics []byte           // the answer without its topics, for sarama
}

// block is the part of an answer that belongs to a partition.
type block struct {
	err          sarama.KError
	high, stable int64 // the high watermark, and the last stable offset
	aborted      []aborted
	records      []byte // record batches as Kafka stores them; the last one may be cut off
}

type aborted struct{ producer, first int64 }

// fields decodes the basic types of Kafka's protocol.
type fields struct {
	b        []byte
	flexible bool // lengths are varints, and structures end in tagged fields
	short    bool // the input ended too early
}

func (f *fields) take(n int) []byte {
	if n < 0 || n > len(f.b) {
		f.b, f.short = nil, true
		return make([]byte, 8)[:min(max(n, 0), 8)]
	}
	out := f.b[:n:n]
	f.b = f.b[n:]
	return out
}

func (f *fields) int16() int16 { return int16(binary.BigEndian.Uint16(f.take(2))) }
func (f *fields) int32() int32 { return int32(binary.BigEndian.Uint32(f.take(4))) }
func (f *fields) int64() int64 { return int64(binary.BigEndian.Uint64(f.take(8))) }

func (f *fields) uvarint() int {
	n, size := binary.Uvarint(f.b)
	if size <= 0 || n > maxAnswer {
		f.b, f.short = nil, true
		return 0
	}
	f.b = f.b[size:]
	return int(n)
}

// length returns the length of an array, of bytes or, with text, of a string; -1 is null.
func (f *fields) length(text bool) int {
	switch {
	case f.flexible:
		return f.uvarint() - 1
	case text:
		return int(f.int16())
	default:
		return int(f.int32())
	}
}

// tags skips tagged fields. We need none of the existing fields.
func (f *fields) tags() {
	if !f.flexible {
		return
	}
	for n := f.uvarint(); n > 0 && !f.short; n-- {
		f.uvarint()
		f.take(f.uvarint())
	}
}

// parseFetch decodes the answer to a fetch, in version 11 or 12.
func parseFetch(body []byte, version int16) (*answer, error) {
	if version < 11 || version > 12 {
		return nil, fmt.Errorf("the broker supports fetch requests only up to version %d, want 11: upgrade the broker to Kafka 2.3 or later", version)
	}
	f := &fields{b: body, flexible: version == 12}
	a := &answer{blocks: map[int32]*block{}}
	f.int32() // the correlation id
	f.tags()
	a.throttled = f.int32() > 0
	a.err = sarama.KError(f.int16())
	f.int32() // the session
	a.withoutTopics = append(a.withoutTopics, body[:len(body)-len(f.b)]...)
	if f.flexible {
		a.withoutTopics = append(a.withoutTopics, 1, 0)
	} else {
		a.withoutTopics = append(a.withoutTopics, 0, 0, 0, 0)
	}
	for n := f.length(false); n > 0 && !f.short; n-- {
		f.take(f.length(true)) // the name of the topic; there is only one
		for n := f.length(false); n > 0 && !f.short; n-- {
			a.block(f)
		}
		f.tags()
	}
	if f.short {
		return nil, sarama.PacketDecodingError{Info: "the answer to a fetch ends too early"}
	}
	return a, nil
}

func (a *answer) block(f *fields) {
	id, b := f.int32(), &block{}
	b.err = sarama.KError(f.int16())
	b.high, b.stable = f.int64(), f.int64()
	f.int64() // the log start offset
	for n := f.length(false); n > 0 && !f.short; n-- {
		b.aborted = append(b.aborted, aborted{f.int64(), f.int64()})
		f.tags()
	}
	f.int32() // the preferred read replica
	if n := f.length(false); n > 0 {
		b.records = f.take(n)
	}
	f.tags()
	a.blocks[id] = b
}

// batchHead is the head of a record batch.
type batchHead struct {
	first, end    int64 // offsets: of the first record, and after the last
	size          int   // of the whole batch, in bytes
	magic         int8  // the format: 2 since Kafka 0.11
	crc           uint32
	codec         sarama.CompressionCodec
	transactional bool
	control       bool // the batch ends a transaction, and has no messages
	producer      int64
	count         int32
}

// headSize is the size of a head. The first headPrefix bytes include the batch's size and format. The checksum covers
// the bytes from headCRC on.
const (
	headSize   = 61
	headPrefix = 17
	headCRC    = 21
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// parseHead decodes the head of the batch at the beginning of b. It returns false when b is too short, or no batch.
func parseHead(b []byte) (h batchHead, ok bool) {
	if len(b) < headPrefix {
		return h, false
	}
	f := &fields{b: b}
	h.first, h.size = f.int64(), int(f.int32())+12
	f.int32() // epoch of the leader
	h.magic = int8(f.take(1)[0])
	if h.magic < 2 {
		h.end = h.first + 1
		return h, h.size >= headPrefix
	}
	h.crc = uint32(f.int32())
	attributes := f.int16()
	h.codec, h.transactional, h.control = sarama.CompressionCodec(attributes&7), attributes&16 != 0, attributes&32 != 0
	h.end = h.first + int64(f.int32()) + 1
	f.take(16) // times
	h.producer = f.int64()
	f.take(6) // the producer's epoch and sequence
	h.count = f.int32()
	return h, !f.short && h.size >= headSize
}
