//go:build unix

package file

import (
	"io/fs"
	"syscall"
)

// links is how many names a file has.
func links(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink) //nolint:unconvert // its type differs from system to system
	}
	return 1
}

// FileNumber is the number that a file has on its file system. A copy has another one.
func FileNumber(info fs.FileInfo) (n uint64, known bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return uint64(st.Ino), true //nolint:unconvert // its type differs from system to system
}
