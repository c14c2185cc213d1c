package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/IBM/sarama"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Sizes of unpacked records. A gigabyte of the same letter is 0.2 MB in Kafka. So a batch is decompressed step by step,
// as its records are delivered, and of a record that is larger than any message only the beginning is delivered.
const (
	maxRecord  = 16 << 20 // of a record
	maxMeta    = 1 << 20  // of the headers and the key
	unpackStep = 4 << 20  // at once; our own batches are smaller
	maxExcerpt = 64 << 10 // of data that are too large, or cannot be read
	maxWindow  = 32 << 20 // bytes that a codec may look back at
)

// unpacked reads a record batch.
type unpacked struct {
	first  int64  // offset of the batch
	left   int32  // records
	buf    []byte // decompressed, but not read
	more   io.Reader
	done   func() // returns more to its pool
	header []sarama.RecordHeader
}

// unpackedRecord is a record of a batch. Its headers are valid until the next record is read.
type unpackedRecord struct {
	offset     int64
	key, value []byte
	headers    []sarama.RecordHeader
	size       int
	tooLarge   bool // value is only the beginning
}

// unpack begins to read a batch. packed must not change meanwhile.
func unpack(first int64, count int32, codec sarama.CompressionCodec, packed []byte) (*unpacked, error) {
	u := &unpacked{first: first, left: count}
	if codec == sarama.CompressionNone {
		u.buf = packed
		return u, nil
	}
	var err error
	u.more, u.done, err = decompressor(codec, packed)
	return u, err
}

// close returns the decompressor to its pool. close is idempotent.
func (u *unpacked) close() {
	if u.done != nil {
		u.done()
	}
	u.more, u.done = nil, nil
}

var steps = sync.Pool{New: func() any { b := make([]byte, unpackStep); return &b }}

// fill decompresses until buf has at least n bytes, or the batch ends.
func (u *unpacked) fill(n int) error {
	if u.more == nil || len(u.buf) >= n {
		return nil
	}
	var scratch []byte
	if n <= unpackStep {
		pooled := steps.Get().(*[]byte)
		defer steps.Put(pooled)
		scratch = *pooled
	} else {
		scratch = make([]byte, n)
	}
	kept := copy(scratch, u.buf)
	read, err := io.ReadFull(u.more, scratch[kept:])
	u.buf = scratch[:kept+read]
	if n <= unpackStep { // messages will share buf
		u.buf = bytes.Clone(u.buf)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		u.close()
		return nil
	}
	return err
}

// next reads a record. It returns io.EOF after the last.
func (u *unpacked) next() (r unpackedRecord, err error) {
	if u.left <= 0 {
		return r, io.EOF
	}
	u.left--
	if err := u.fill(binary.MaxVarintLen64); err != nil {
		return r, err
	}
	size, n := binary.Varint(u.buf)
	if n <= 0 || size < 0 {
		return r, errCutOff
	}
	u.buf = u.buf[n:]
	r.size = int(size)
	if size > maxRecord {
		return u.large(r)
	}
	if err := u.fill(r.size); err != nil {
		return r, err
	}
	if len(u.buf) < r.size {
		return r, errCutOff
	}
	body := u.buf[:r.size]
	u.buf = u.buf[r.size:]
	if !u.parse(&r, body) {
		return r, errCutOff
	}
	if meta := r.size - len(r.value); meta > maxMeta {
		r.tooLarge, r.key, r.headers, r.value = true, nil, nil, bytes.Clone(body[:min(len(body), maxExcerpt)])
	}
	return r, nil
}

var errCutOff = errors.New("the data are cut off, or their lengths are wrong")

// large reads the beginning of a record that is too large, and skips the rest.
func (u *unpacked) large(r unpackedRecord) (unpackedRecord, error) {
	if err := u.fill(maxExcerpt); err != nil {
		return r, err
	}
	head := &fields{b: u.buf}
	head.take(1) // attributes
	_, n := binary.Varint(head.b)
	head.take(max(n, 1)) // timestamp
	delta, n := binary.Varint(head.b)
	head.take(max(n, 1))
	if head.short {
		return r, errCutOff
	}
	r.offset, r.tooLarge = u.first+delta, true
	r.value = bytes.Clone(head.b[:min(len(head.b), maxExcerpt)])
	have := min(r.size, len(u.buf))
	u.buf = u.buf[have:]
	for rest := r.size - have; rest > 0; {
		if u.more == nil {
			return r, errCutOff
		}
		n, err := io.CopyN(io.Discard, u.more, int64(rest))
		if rest -= int(n); err != nil {
			return r, err
		}
	}
	return r, nil
}

// parse decodes a record after its length.
func (u *unpacked) parse(r *unpackedRecord, b []byte) bool {
	ok := true
	varint := func() int {
		v, n := binary.Varint(b)
		if n <= 0 {
			ok, b = false, nil
			return 0
		}
		b = b[n:]
		return int(v)
	}
	take := func() []byte { // nil for a length of -1
		n := varint()
		if n > len(b) {
			ok, b = false, nil
		}
		if n < 0 || !ok {
			return nil
		}
		out := b[:n:n]
		b = b[n:]
		return out
	}
	if len(b) == 0 {
		return false
	}
	b = b[1:] // attributes
	varint()  // timestamp
	r.offset = u.first + int64(varint())
	r.key, r.value = take(), take()
	u.header = u.header[:0]
	for n := varint(); n > 0 && ok; n-- {
		u.header = append(u.header, sarama.RecordHeader{Key: take(), Value: take()})
	}
	r.headers = u.header
	return ok
}

var (
	gzips sync.Pool
	zstds sync.Pool
	lz4s  = sync.Pool{New: func() any { return lz4.NewReader(nil) }}
)

// decompressor returns a reader of packed, and a function that returns the reader to its pool.
func decompressor(codec sarama.CompressionCodec, packed []byte) (io.Reader, func(), error) {
	in := bytes.NewReader(packed)
	switch codec {
	case sarama.CompressionGZIP:
		r, ok := gzips.Get().(*gzip.Reader)
		if !ok {
			r = new(gzip.Reader)
		}
		if err := r.Reset(in); err != nil {
			return nil, nil, err
		}
		return r, func() { gzips.Put(r) }, nil
	case sarama.CompressionLZ4:
		r := lz4s.Get().(*lz4.Reader)
		r.Reset(in)
		return r, func() { lz4s.Put(r) }, nil
	case sarama.CompressionZSTD:
		r, ok := zstds.Get().(*zstd.Decoder)
		if !ok {
			var err error
			if r, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow)); err != nil {
				return nil, nil, err
			}
		}
		if err := r.Reset(in); err != nil {
			return nil, nil, err
		}
		return r, func() { zstds.Put(r) }, nil
	case sarama.CompressionSnappy:
		return newSnappy(packed), func() {}, nil
	default:
		return nil, nil, fmt.Errorf("unknown compression codec %d", codec)
	}
}

// snappyReader reads both forms of Kafka's producers: a single block, or blocks in the framing of Java's snappy.
type snappyReader struct {
	framed bool
	in     []byte
	out    []byte
}

var snappyMagic = []byte{130, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

func newSnappy(packed []byte) *snappyReader {
	if len(packed) >= 16 && bytes.HasPrefix(packed, snappyMagic) {
		return &snappyReader{framed: true, in: packed[16:]}
	}
	return &snappyReader{in: packed}
}

// Read implements io.Reader.
func (s *snappyReader) Read(b []byte) (int, error) {
	for len(s.out) == 0 {
		if len(s.in) == 0 {
			return 0, io.EOF
		}
		one := s.in
		if s.framed {
			f := &fields{b: s.in}
			one = f.take(int(f.int32()))
			if f.short {
				return 0, errCutOff
			}
			s.in = f.b
		} else {
			s.in = nil
		}
		n, err := snappy.DecodedLen(one)
		if err != nil {
			return 0, err
		}
		if n > maxWindow {
			return 0, fmt.Errorf("a block unpacks to %d bytes, more than %d", n, maxWindow)
		}
		if s.out, err = snappy.Decode(nil, one); err != nil {
			return 0, err
		}
	}
	n := copy(b, s.out)
	s.out = s.out[n:]
	return n, nil
}
