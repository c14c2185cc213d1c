package httpapi

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

// sortable is an alphabet in its own order, so that what is encoded sorts as its bytes do.
var sortable = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// newOrderID makes an id that sorts by its time, to the millisecond, and has 80 random bits: none can be guessed from
// another.
func newOrderID(now time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	_, _ = rand.Read(b[6:]) // never fails: crypto/rand ends the process instead
	return "ord-" + sortable.EncodeToString(b[:])
}
