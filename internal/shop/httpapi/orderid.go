package httpapi

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

// sortable is base32 with a sorted alphabet, so that encoded ids sort like their bytes.
var sortable = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// newOrderID returns an id that sorts by time, to the millisecond, and has 80 random bits, so that clients cannot
// guess ids.
func newOrderID(now time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	_, _ = rand.Read(b[6:]) // never fails: crypto/rand ends the process instead
	return "ord-" + sortable.EncodeToString(b[:])
}
