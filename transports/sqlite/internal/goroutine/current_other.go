//go:build !amd64 && !arm64

package goroutine

import (
	"bytes"
	"runtime"
	"strconv"
)

// current is the number that the runtime gives the goroutine, which it tells only as text.
func current() uintptr {
	var text [64]byte
	words := bytes.Fields(text[:runtime.Stack(text[:], false)])
	n, _ := strconv.ParseUint(string(words[1]), 10, 64) // "goroutine 7 [running]:"
	return uintptr(n)
}
