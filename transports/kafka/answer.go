package kafka

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/IBM/sarama"
)

// answer is a broker's answer to a fetch of one topic's partitions.
type answer struct {
	throttled bool
	err       sarama.KError
	blocks    map[int32]*block // by partition
	instead   []byte           // the same answer without topics, for sarama
}

// block is what an answer has of one partition.
type block struct {
	err          sarama.KError
	high, stable int64 // the first offset that is not replicated yet, and that of the first open transaction
	aborted      []aborted
	records      []byte // record batches as they are stored; the last one may be cut off
}

// aborted is a transaction that was aborted.
type aborted struct{ producer, first int64 }

// fields reads what Kafka's protocol is made of.
type fields struct {
	b        []byte
	flexible bool // lengths are varints, and each structure ends in tagged fields
	short    bool // there was too little
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

// length of an array, of bytes or, with text, of a string; -1 is null.
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

// tags skips tagged fields: of those that exist, none is needed.
func (f *fields) tags() {
	if !f.flexible {
		return
	}
	for n := f.uvarint(); n > 0 && !f.short; n-- {
		f.uvarint()
		f.take(f.uvarint())
	}
}

// parseFetch reads an answer in versions 11 and 12.
func parseFetch(body []byte, version int16) (*answer, error) {
	if version < 11 || version > 12 {
		return nil, fmt.Errorf("kafka: the broker knows version %d of a fetch, want 11 at least: it is older than Kafka 2.3", version)
	}
	f := &fields{b: body, flexible: version == 12}
	a := &answer{blocks: map[int32]*block{}}
	f.int32() // the request's number
	f.tags()
	a.throttled = f.int32() > 0
	a.err = sarama.KError(f.int16())
	f.int32() // session
	a.instead = append(a.instead, body[:len(body)-len(f.b)]...)
	if f.flexible {
		a.instead = append(a.instead, 1, 0)
	} else {
		a.instead = append(a.instead, 0, 0, 0, 0)
	}
	for n := f.length(false); n > 0 && !f.short; n-- {
		f.take(f.length(true)) // the topic, of which there is one
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
	f.int64() // the oldest offset
	for n := f.length(false); n > 0 && !f.short; n-- {
		b.aborted = append(b.aborted, aborted{f.int64(), f.int64()})
		f.tags()
	}
	f.int32() // a replica that is nearer
	if n := f.length(false); n > 0 {
		b.records = f.take(n)
	}
	f.tags()
	a.blocks[id] = b
}

// batchHead is what a record batch begins with.
type batchHead struct {
	first, end    int64 // offsets: of the first record, and behind the last
	size          int   // of all of it
	magic         int8  // the format: 2 since Kafka 0.11
	crc           uint32
	codec         sarama.CompressionCodec
	transactional bool
	control       bool // it ends a transaction, and has no records for anybody
	producer      int64
	count         int32
}

// How long that is, how much of it says how long the batch is, and in which format, and where the bytes of its checksum begin.
const (
	headSize   = 61
	headPrefix = 17
	headCRC    = 21
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// parseHead reads the head of the batch that b begins with; false is that there is too little of it.
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
	f.take(6) // its epoch and sequence
	h.count = f.int32()
	return h, !f.short && h.size >= headSize
}
