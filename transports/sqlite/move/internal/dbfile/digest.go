package dbfile

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math"
	"math/bits"
)

// Digest is the sum, modulo 2^256, of the SHA-256 of each row of a set. The digest does not depend on the order of the
// rows, and a row that is in the set twice does not cancel itself out. The digest of two disjoint sets together is the
// sum of their digests.
type Digest [sha256.Size]byte

// String returns d as 64 hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error {
	if n, err := hex.Decode(d[:], text); err != nil || n != len(d) {
		return fmt.Errorf("move: digest %q: want %d hexadecimal digits", text, 2*len(d))
	}
	return nil
}

func (d *Digest) add(o Digest) {
	var carry uint64
	for i := len(d) - 8; i >= 0; i -= 8 {
		var sum uint64
		sum, carry = bits.Add64(binary.BigEndian.Uint64(d[i:]), binary.BigEndian.Uint64(o[i:]), carry)
		binary.BigEndian.PutUint64(d[i:], sum)
	}
}

// Sum is the number of rows of a set, and their digest.
type Sum struct {
	Rows   int64  `json:"rows"`
	Digest Digest `json:"digest"`
}

func (d *Digest) subtract(o Digest) {
	var borrow uint64
	for i := len(d) - 8; i >= 0; i -= 8 {
		var rest uint64
		rest, borrow = bits.Sub64(binary.BigEndian.Uint64(d[i:]), binary.BigEndian.Uint64(o[i:]), borrow)
		binary.BigEndian.PutUint64(d[i:], rest)
	}
}

// Minus removes the rows of o, which must be among the rows of s.
func (s Sum) Minus(o Sum) Sum {
	s.Rows -= o.Rows
	s.Digest.subtract(o.Digest)
	return s
}

// Plus adds the rows of o.
func (s Sum) Plus(o Sum) Sum {
	s.Rows += o.Rows
	s.Digest.add(o.Digest)
	return s
}

// digester implements the SQL function digest(column, ...), which is an aggregate over rows.
type digester struct {
	sum Digest
	row hash.Hash
	buf []byte
}

func newDigester() *digester { return &digester{row: sha256.New()} }

// Step adds a row. Each value is hashed with its type and length, so that no two different rows have the same hash
// input.
func (d *digester) Step(columns ...any) {
	d.row.Reset()
	for _, c := range columns {
		d.buf = d.buf[:0]
		switch c := c.(type) {
		case int64:
			d.buf = binary.BigEndian.AppendUint64(append(d.buf, 'i'), uint64(c))
		case float64:
			d.buf = binary.BigEndian.AppendUint64(append(d.buf, 'f'), math.Float64bits(c))
		case string:
			d.buf = append(binary.BigEndian.AppendUint64(append(d.buf, 't'), uint64(len(c))), c...)
		case []byte:
			if c == nil {
				d.buf = append(d.buf, 'n')
				break
			}
			d.buf = append(binary.BigEndian.AppendUint64(append(d.buf, 'b'), uint64(len(c))), c...)
		}
		d.row.Write(d.buf)
	}
	var sum Digest
	d.row.Sum(sum[:0])
	d.sum.add(sum)
}

// Done returns the digest as a blob.
func (d *digester) Done() []byte { return d.sum[:] }

// digestScanner scans the result of the SQL function digest.
type digestScanner struct{ to *Sum }

// ScanDigest returns a sql.Scanner that sets the digest of s.
func ScanDigest(s *Sum) *digestScanner { return &digestScanner{s} }

// Scan implements sql.Scanner.
func (d *digestScanner) Scan(v any) error {
	b, _ := v.([]byte) // NULL, which some versions of SQLite return without rows, is the zero digest
	copy(d.to.Digest[:], b)
	return nil
}

// SumOfRow returns the sum of a single row.
func SumOfRow(columns ...any) Sum {
	d := newDigester()
	d.Step(columns...)
	return Sum{Rows: 1, Digest: d.sum}
}
