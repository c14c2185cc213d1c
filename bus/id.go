package bus

import (
	"encoding/hex"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// lastID is the time of the newest id, in units of 2^-12 ms since 1970.
var lastID atomic.Int64

// newID returns a UUID of version 7 (RFC 9562, section 5.7, method 3: the 12 bits behind the milliseconds are
// a fraction of one). Within a process, ids ascend: the journal's index over them is appended to, not shuffled.
func newID() string {
	now := time.Now()
	t := now.UnixMilli()<<12 | int64(now.Nanosecond()%1e6)<<12/1e6
	for {
		last := lastID.Load()
		t = max(t, last+1)
		if lastID.CompareAndSwap(last, t) {
			break
		}
	}
	var b [16]byte
	ms, fraction, random := t>>12, t&0xfff, rand.Uint64()
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	b[6], b[7] = 0x70|byte(fraction>>8), byte(fraction)
	for i := range 8 {
		b[8+i] = byte(random >> (56 - 8*i))
	}
	b[8] = 0x80 | b[8]&0x3f
	var s [36]byte
	hex.Encode(s[:8], b[:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:], b[10:])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
