// Package still reads a journal beside which no file can be written: the journal of another user, or a journal on a
// file system that is read-only or full.
//
// SQLite reads a log only with the log's -shm file, and makes a missing -shm file. Where SQLite cannot make the file,
// no owner that made one can be running. So the journal is read as it is, without locks, and its files are compared
// afterwards: an owner that starts meanwhile changes the files.
package still

import (
	"errors"
	"io/fs"
	"net/url"
	"os"

	"github.com/mattn/go-sqlite3"

	_ "github.com/troupebus/troupe/transports/sqlite/internal/needs" // cgo
)

// ErrMoved means that another process wrote the journal while it was read without locks.
var ErrMoved = errors.New("sqlite: the journal was written during the read, since this user or disk cannot lock it: try again")

// CannotWrite reports whether err means that SQLite could not create or change a file.
func CannotWrite(err error) bool {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case sqlite3.ErrReadonly, sqlite3.ErrPerm, sqlite3.ErrCantOpen, sqlite3.ErrFull, sqlite3.ErrIoErr:
		return true
	default:
		return false
	}
}

// Files describes the files of a journal at a point in time.
type Files struct {
	path  string
	files [2]fs.FileInfo // the database and its log; nil for no log
}

// Look returns the state of the files of the journal at path.
func Look(path string) (*Files, error) {
	f := &Files{path: path}
	for i, end := range []string{"", "-wal"} {
		info, err := os.Stat(path + end)
		if err != nil && (i == 0 || !errors.Is(err, fs.ErrNotExist)) {
			return nil, err
		}
		if err == nil {
			f.files[i] = info
		}
	}
	return f, nil
}

// Read changes params, the parameters of a connection in mode ro, so that SQLite needs no other file. SQLite treats a
// journal without a log as immutable. For a journal with a log, SQLite keeps the index of the log in memory if the
// connection has an exclusive lock; the VFS without locks makes SQLite believe so.
func (f *Files) Read(params url.Values) {
	if log := f.files[1]; log == nil || log.Size() == 0 {
		params.Set("immutable", "1")
		return
	}
	params.Set("vfs", "unix-none")
	params.Set("_locking_mode", "EXCLUSIVE")
}

// Check returns ErrMoved when the files have changed since Look.
func (f *Files) Check() error {
	now, err := Look(f.path)
	if err != nil {
		return err
	}
	for i, was := range f.files {
		if !same(was, now.files[i]) {
			return ErrMoved
		}
	}
	return nil
}

// same reports whether a and b describe the same file, of the same size and time, or no file.
func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
