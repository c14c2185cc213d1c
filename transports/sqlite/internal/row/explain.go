package row

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/mattn/go-sqlite3"
)

// Explain returns an error of SQLite with a hint on the remedy. Other errors, and errors that have a hint, are returned
// unchanged.
func Explain(err error) error {
	var e sqlite3.Error
	var before *explained
	if !errors.As(err, &e) || errors.As(err, &before) {
		return err
	}
	hint, code := "", e.Code
	if code == sqlite3.ErrIoErr && errors.Is(e.SystemErrno, syscall.ENOSPC) {
		code = sqlite3.ErrFull
	}
	if code == sqlite3.ErrIoErr && NoSpace(e.SystemErrno) {
		return &explained{err, "a limit to what this user or process may write is reached: check quota and ulimit -f"}
	}
	switch code {
	case sqlite3.ErrNotADB:
		hint = "the file is not an SQLite database: name another path, or move the file away"
	case sqlite3.ErrCorrupt:
		hint = "the file is damaged: copy it away, try `sqlite3 FILE .recover`, or restore a backup"
	case sqlite3.ErrReadonly, sqlite3.ErrPerm:
		hint = "the file or its folder cannot be written: check owner, permissions and mount"
	case sqlite3.ErrCantOpen:
		hint = "the file cannot be opened: check its path, owner and permissions"
	case sqlite3.ErrFull:
		hint = "the disk (or the journal's size limit) is full: free some space; a process that runs goes on by itself then"
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		hint = "another connection holds the file's write lock: end its transaction"
	case sqlite3.ErrIoErr:
		hint = "the disk failed to read or write: check the system's log"
	default:
		return err
	}
	return &explained{err, hint}
}

// explained is an error with a hint. An error gets one hint, even if several callers on its way call Explain.
type explained struct {
	err  error
	hint string
}

// Error implements error.
func (e *explained) Error() string { return fmt.Sprintf("%v (%s)", e.err, e.hint) }

// Unwrap returns the error without the hint.
func (e *explained) Unwrap() error { return e.err }

// NoSpace reports whether err says that the disk or a user's quota is full, or a file's size limit is reached.
func NoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
