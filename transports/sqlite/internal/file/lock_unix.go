//go:build unix && !aix && !solaris && !illumos

package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// lockFile is the lock file of a journal. One descriptor reads, writes and locks the file. Opening follows no symbolic
// link: a file elsewhere is never written.
type lockFile struct {
	path string
	file *os.File
}

// openLock opens the lock file at path, for an owner or for a process that only looks.
func openLock(path string, owner bool) (*lockFile, error) {
	flags := os.O_RDONLY
	if owner {
		flags = os.O_RDWR | os.O_CREATE
	}
	f, err := os.OpenFile(path, flags|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%w: it is a symbolic link, which is not followed: remove it", err)
	}
	if err != nil {
		return nil, err
	}
	return &lockFile{path: path, file: f}, nil
}

// try takes the lock, for one process or shared, and reports false when another process has the lock.
func (f *lockFile) try(alone bool) (bool, error) {
	how := syscall.LOCK_SH
	if alone {
		how = syscall.LOCK_EX
	}
	for {
		switch err := syscall.Flock(int(f.file.Fd()), how|syscall.LOCK_NB); {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case err != nil || !alone:
			return err == nil, err
		}
		ours, err := f.current()
		if ours || err != nil {
			return ours, err
		}
	}
}

// current reports whether the locked file is still at its path. Otherwise current opens the new file.
func (f *lockFile) current() (bool, error) {
	ours, err := f.file.Stat()
	if err != nil {
		return false, err
	}
	if there, err := os.Lstat(f.path); err == nil && os.SameFile(ours, there) {
		return true, nil
	}
	fresh, err := openLock(f.path, true)
	if err != nil {
		return false, err
	}
	old := f.file
	f.file = fresh.file
	return false, old.Close()
}

// read returns the content of the file.
func (f *lockFile) read() ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(f.file, 0, 64<<10))
}

// write replaces the content of the file, and makes the file readable for its owner only.
func (f *lockFile) write(b []byte) error {
	info, err := f.file.Stat()
	if err == nil && info.Mode().Perm() != 0o600 {
		if err = f.file.Chmod(0o600); errors.Is(err, fs.ErrPermission) { // another user's file
			err = nil
		}
	}
	if err != nil {
		return err
	}
	_, err = f.file.WriteAt(b, 0)
	return errors.Join(err, f.file.Truncate(int64(len(b))))
}

func (f *lockFile) close() error { return f.file.Close() }
