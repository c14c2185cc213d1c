// Package still tells how to read a journal beside which nothing can be written: of another user, or on a file system that is read-only
// or full.
//
// SQLite reads a log only together with its -shm file, which it makes when there is none. Where it cannot, no owner can be running who
// made one. So the files are read as they lie there, without locks, and looked at again afterwards: an owner that starts meanwhile
// changes them.
package still

import (
	"errors"
	"io/fs"
	"net/url"
	"os"

	"github.com/mattn/go-sqlite3"

	_ "github.com/troupebus/troupe/transports/sqlite/internal/needs" // cgo
)

// ErrMoved: somebody wrote the journal while it was read without locks.
var ErrMoved = errors.New("the journal was written while it was read, which this user or disk cannot prevent: run the command again")

// CannotWrite reports whether err is about a file that SQLite could not make or change.
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

// Files are a journal's files as they were at one time.
type Files struct {
	path  string
	files [2]fs.FileInfo // the database, and its log; nil where there is none
}

// Look looks at the files of the journal at path.
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

// Read makes params, of a connection in mode ro, those of one that needs no other file. A journal without a log is immutable to SQLite;
// with one, its index is kept in memory, which SQLite does for a connection that locks out all others. The VFS that locks nothing
// lets it believe so.
func (f *Files) Read(params url.Values) {
	if log := f.files[1]; log == nil || log.Size() == 0 {
		params.Set("immutable", "1")
		return
	}
	params.Set("vfs", "unix-none")
	params.Set("_locking_mode", "EXCLUSIVE")
}

// Check is an ErrMoved when the files are not any more what they were.
func (f *Files) Check() error {
	now, err := Look(f.path)
	if err != nil {
		return err
	}
	for i, was := range f.files {
		is := now.files[i]
		if (was == nil) != (is == nil) || was != nil && (!os.SameFile(was, is) || was.Size() != is.Size() || !was.ModTime().Equal(is.ModTime())) {
			return ErrMoved
		}
	}
	return nil
}
