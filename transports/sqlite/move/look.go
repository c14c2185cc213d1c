package move

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"

	"github.com/mattn/go-sqlite3"
)

// look opens a journal that is only looked at, also one beside which nothing can be written: of another user, or on a file system that
// is read-only or full. Such a one is read as sqlite.OpenReader reads it; when somebody writes it meanwhile, close says so.
func look(ctx context.Context, path string) (*file, error) {
	f, first := tryToLook(ctx, path, reading)
	if first == nil || !cannotWrite(first) {
		return f, first
	}
	readOnly := maps.Clone(reading)
	readOnly.Set("mode", "ro")
	f, err := tryToLook(ctx, path, readOnly)
	if err == nil || !cannotWrite(err) {
		return f, err
	}
	was, err := lookAtFiles(path)
	if err != nil {
		return nil, errors.Join(first, err)
	}
	if log := was[1]; log == nil || log.Size() == 0 {
		readOnly.Set("immutable", "1")
	} else { // its index is kept in memory, which SQLite does for a connection that locks out all others, as it believes then
		readOnly.Set("vfs", "unix-none")
		readOnly.Set("_locking_mode", "EXCLUSIVE")
	}
	if f, err = tryToLook(ctx, path, readOnly); err != nil {
		return nil, errors.Join(first, err)
	}
	f.same = func() error {
		is, err := lookAtFiles(path)
		for i := range is {
			if err == nil && !sameFile(was[i], is[i]) {
				err = fmt.Errorf("move: %s was written while it was read, which this user or disk cannot prevent: run the command again", path)
			}
		}
		return err
	}
	return f, nil
}

// tryToLook opens the file and reads of it.
func tryToLook(ctx context.Context, path string, how url.Values) (*file, error) {
	f, err := open(ctx, path, how)
	if err != nil {
		return nil, err
	}
	if _, err := f.int64(ctx, "SELECT count(*) FROM main.sqlite_schema"); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), f.close())
	}
	return f, nil
}

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

// lookAtFiles are the database and its log; nil where there is none.
func lookAtFiles(path string) (files [2]fs.FileInfo, err error) {
	for i, end := range []string{"", "-wal"} {
		info, err := os.Stat(path + end)
		if err != nil && (i == 0 || !errors.Is(err, fs.ErrNotExist)) {
			return files, err
		}
		if err == nil {
			files[i] = info
		}
	}
	return files, nil
}

func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
