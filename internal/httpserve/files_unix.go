//go:build unix

package httpserve

import (
	"math"
	"syscall"
)

// openFiles returns how many files the process may have open.
func openFiles() int {
	files := uint64(math.MaxInt32)
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err == nil {
		files = min(files, uint64(r.Cur)) // FreeBSD has an int64
	}
	return int(files)
}
