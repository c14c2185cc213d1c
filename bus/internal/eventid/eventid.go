// Package eventid makes the ids of events. The package imports the standard library and bus/journal.
package eventid

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// lastID is the time of the newest id, in units of 2^-12 ms since 1970.
var lastID atomic.Int64

// New returns a UUID of version 7 (RFC 9562, section 5.7, method 3: the 12 bits after the milliseconds are a
// fraction of a millisecond). Within a process ids ascend, so that the journal appends to its index over ids instead
// of inserting into the middle.
func New() string {
	now := time.Now()
	t := now.UnixMilli()<<12 | int64(now.Nanosecond()%1e6)<<12/1e6
	for {
		last := lastID.Load()
		t = max(t, last+1)
		if lastID.CompareAndSwap(last, t) {
			break
		}
	}
	return uuid(7, uint64(t), rand.Uint64())
}

// Emitted returns the id of the event that a reaction to cause emits as number n, counted from 0. The id is the same
// whenever the reaction runs. When a journal is restored from a backup, or a copy of the journal runs by mistake, the
// repeated reaction sends events with the same ids, and receivers drop the repeated events.
//
// The time in the id is slightly later than the time in the id of cause, so that the ids are near each other in the
// index, and events of a reaction are in order. When cause has no UUID of version 7, the id is a UUID of version 8.
func Emitted(subscription string, cause *journal.Event, n int, eventType string) string {
	name := binary.AppendUvarint(make([]byte, 0, 256), uint64(n))
	for _, part := range []string{subscription, cause.Type, cause.ID, eventType} {
		name = append(binary.AppendUvarint(name, uint64(len(part))), part...)
	}
	sum := sha256.Sum256(name)
	high, low := binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:])
	if t, ok := timeIn(cause.ID); ok {
		return uuid(7, t+1+uint64(n), low)
	}
	return uuid(8, high, low)
}

// timeIn returns the time in a UUID of version 7, in units of 2^-12 ms since 1970.
func timeIn(id string) (t uint64, ok bool) {
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[14] != '7' || id[18] != '-' {
		return 0, false
	}
	var b [8]byte
	_, err := hex.Decode(b[:], []byte(id[:8]+id[9:13]+id[14:18]))
	t = binary.BigEndian.Uint64(b[:])
	return t>>16<<12 | t&0xfff, err == nil
}

// uuid formats a UUID of a version from the 60 bits before the variant and the 62 bits after.
func uuid(version byte, high, low uint64) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], high>>12<<16|high&0xfff)
	binary.BigEndian.PutUint64(b[8:], low)
	b[6], b[8] = version<<4|b[6], 0x80|b[8]&0x3f
	var s [36]byte
	hex.Encode(s[:8], b[:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:], b[10:])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
