//go:build linux || darwin

package dbfile

import "syscall"

// space returns the bytes that may be written on the file system of folder, and the device of that file system.
func space(folder string) (bytes uint64, device uint64, known bool) {
	var fs syscall.Statfs_t
	var st syscall.Stat_t
	if syscall.Statfs(folder, &fs) != nil || syscall.Stat(folder, &st) != nil {
		return 0, 0, false
	}
	return uint64(fs.Bavail) * uint64(fs.Bsize), uint64(st.Dev), true
}
