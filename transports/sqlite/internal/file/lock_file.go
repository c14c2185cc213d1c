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

// ownerByte is the byte of a database file that the owner locks. SQLite's own locks begin at 1 GiB
// (https://www.sqlite.org/fileformat.html, "the lock-byte page"); ownerByte is far above these and all data. A byte
// beyond the end of the file can be locked.
const ownerByte = 1 << 61

// setLock takes or gives back the owner's lock on the file with descriptor fd. The lock belongs to the open file;
// SQLite's own locks belong to the process. Closing another descriptor of the file does not drop the lock, and the
// kernel drops it when the process ends. On a system without such locks the journal has only the lock file.
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

// lockOpened locks the file that SQLite has open in this process, through SQLite's own descriptor. Closing a second
// descriptor would drop all locks of SQLite on the file.
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
		if errors.Is(err, syscall.EBADF) { // the descriptor was opened for reading only
			continue
		}
		if err != nil || !ok {
			return nil, ok, err
		}
		return func() error { _, err := setLock(fd, syscall.F_UNLCK); return err }, true, nil
	}
	return nil, false, fmt.Errorf("%w: the file cannot be written, or was replaced just now: check owner, permissions and mount", fs.ErrPermission)
}

// lockClosed locks the file at path, which is not open in this process.
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
