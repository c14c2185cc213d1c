//go:build linux || darwin

package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// ownerByte is the byte of a database file that its owner locks: far from those that SQLite locks, which begin at 1
// GiB (https://www.sqlite.org/fileformat.html, "the lock-byte page"), and from all that it reads. A lock needs no
// byte to be there.
const ownerByte = 1 << 61

// setLock takes or gives back the owner's lock on the file that fd has open. The lock belongs to the open file, not
// to the process as SQLite's own locks do: closing another descriptor of the file does not drop it, and the kernel
// drops it when the process ends. A system that has no such lock leaves the journal with its lock file alone.
func setLock(fd int, kind int16) (bool, error) {
	l := syscall.Flock_t{Type: kind, Whence: io.SeekStart, Start: ownerByte, Len: 1}
	for {
		err := syscall.FcntlFlock(uintptr(fd), setOpenFileLock, &l)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EACCES):
			return false, nil
		case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOLCK):
			return true, nil
		}
		return err == nil, err
	}
}

// lockOpened locks the file that SQLite has open in this process, by SQLite's own descriptor. Opening a second one
// would be simpler, but closing that one would drop all the locks that SQLite has on the file.
func lockOpened(info fs.FileInfo) (unlock func() error, ok bool, err error) {
	want, known := info.Sys().(*syscall.Stat_t)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || !known {
		return nil, false, err
	}
	for fd := range int(min(limit.Cur, 1<<20)) {
		var st syscall.Stat_t
		if syscall.Fstat(fd, &st) != nil || st.Dev != want.Dev || st.Ino != want.Ino {
			continue
		}
		ok, err := patiently(func() (bool, error) { return setLock(fd, syscall.F_WRLCK) })
		if errors.Is(err, syscall.EBADF) { // that one was opened for reading alone
			continue
		}
		if err != nil || !ok {
			return nil, ok, err
		}
		return func() error { _, err := setLock(fd, syscall.F_UNLCK); return err }, true, nil
	}
	return nil, false, fmt.Errorf("%w: the file cannot be written, or was replaced just now: check owner, permissions and mount", fs.ErrPermission)
}

// lockClosed locks the file at path, which nobody in this process has open.
func lockClosed(path string) (unlock func() error, ok bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, false, err
	}
	ok, err = patiently(func() (bool, error) { return setLock(int(f.Fd()), syscall.F_WRLCK) })
	if err != nil || !ok {
		return nil, false, errors.Join(err, f.Close())
	}
	return f.Close, true, nil
}
