package workconn

import (
	"errors"

	"github.com/mattn/go-sqlite3"
)

// Fault is the origin of an error of SQLite.
type Fault int

const (
	WorkFault   Fault = iota // the work, as far as the error tells
	StoreFault               // the store: any work would fail
	EitherFault              // unclear: run the work alone
)

// Blame classifies an error. Errors of the work are constraints, interrupts by the context of the work, and values that
// are too big. In an open write transaction, busy or locked means another statement of the same transaction, unless the
// store has a problem.
func Blame(err error) Fault {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return WorkFault
	}
	switch e.Code {
	case sqlite3.ErrFull, sqlite3.ErrIoErr, sqlite3.ErrNomem, sqlite3.ErrCorrupt, sqlite3.ErrReadonly,
		sqlite3.ErrCantOpen, sqlite3.ErrNotADB, sqlite3.ErrPerm, sqlite3.ErrProtocol:
		return StoreFault
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return EitherFault
	default:
		return WorkFault
	}
}
