//go:build !unix || aix || solaris || illumos

package file

import (
	"errors"
	"io/fs"
	"os"

	"github.com/gofrs/flock"
)

// lockFile is the lock file of a journal.
type lockFile struct {
	path string
	lock *flock.Flock
}

// openLock opens the lock file at path, for an owner or for a process that only looks.
func openLock(path string, owner bool) (*lockFile, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && owner:
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file: remove it")
	}
	return &lockFile{path: path, lock: flock.New(path, flock.SetPermissions(0o600))}, nil
}

// try takes the lock, for one process or shared, and reports false when another process has the lock.
func (f *lockFile) try(alone bool) (bool, error) {
	if alone {
		return f.lock.TryLock()
	}
	return f.lock.TryRLock()
}

// read returns the content of the file.
func (f *lockFile) read() ([]byte, error) { return os.ReadFile(f.path) }

// write replaces the content of the file. On Windows the lock keeps others from writing: the owner stays unnamed.
func (f *lockFile) write(b []byte) error {
	_ = os.WriteFile(f.path, b, 0o600)
	return nil
}

func (f *lockFile) close() error { return f.lock.Unlock() }
