package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mattn/go-sqlite3"
)

// SQLite reads a log only together with its -shm file, which it makes when there is none. Where it cannot, because nothing can be
// written beside the journal, no owner can be running who made one. So the files are read as they lie there, without locks, and
// looked at again after each view: an owner that starts meanwhile changes them.

// cannotWrite reports whether err is about a file that SQLite could not make or change.
func cannotWrite(err error) bool {
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

// still is a journal whose files nobody changes, as they were when it was opened.
type still struct {
	path  string
	files [2]fs.FileInfo // the database, and its log; nil where there is none
}

// errMoved: somebody wrote the journal while it was read without locks.
var errMoved = errors.New("sqlite: the journal was written while it was read, which this user or disk cannot prevent: run the command again")

// openStill opens a journal beside which no file can be made. One without a log is immutable to SQLite; with one, its index is kept
// in memory, which SQLite does for a connection that locks out all others. The VFS that locks nothing lets it believe so.
func openStill(ctx context.Context, path string) (*Reader, error) {
	s := &still{path: path}
	var err error
	if s.files, err = s.look(); err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", path, err)
	}
	params := readParams("ro")
	if log := s.files[1]; log == nil || log.Size() == 0 {
		params.Set("immutable", "1")
	} else {
		params.Set("vfs", "unix-none")
		params.Set("_locking_mode", "EXCLUSIVE")
	}
	db, err := openExisting(ctx, path, dsn(path, params))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	return &Reader{path: path, db: db, still: s}, nil
}

func (s *still) look() (files [2]fs.FileInfo, err error) {
	for i, end := range []string{"", "-wal"} {
		info, err := os.Stat(s.path + end)
		if err != nil && (i == 0 || !errors.Is(err, fs.ErrNotExist)) {
			return files, err
		}
		if err == nil {
			files[i] = info
		}
	}
	return files, nil
}

// view runs fn as View does. What it read counts only if the files are the same afterwards.
func (s *still) view(ctx context.Context, db *sql.DB, fn func(*sql.Tx) error) error {
	err := view(ctx, db, fn)
	now, lookErr := s.look()
	if lookErr != nil {
		return errors.Join(err, fmt.Errorf("sqlite: %w", lookErr))
	}
	for i, was := range s.files {
		is := now[i]
		if (was == nil) != (is == nil) || was != nil && (!os.SameFile(was, is) || was.Size() != is.Size() || !was.ModTime().Equal(is.ModTime())) {
			return errMoved
		}
	}
	return err
}
