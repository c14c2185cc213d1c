package sqlite

import (
	"errors"
	"fmt"

	"github.com/mattn/go-sqlite3"

	"github.com/troupebus/troupe/bus/journal"
)

// fault says whose an error of SQLite is.
type fault int

const (
	workFault   fault = iota // it does not concern the store, as far as the error tells
	storeFault               // it would meet everybody
	eitherFault              // trying the work alone tells
)

// blame looks at the error alone. A work's own are above all its constraints, an interrupt by its own context, and what is too
// big. A statement of an open writing transaction is busy or locked only because of the transaction's own other
// statements, unless the store is in trouble.
func blame(err error) fault {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return workFault
	}
	switch e.Code {
	case sqlite3.ErrFull, sqlite3.ErrIoErr, sqlite3.ErrNomem, sqlite3.ErrCorrupt, sqlite3.ErrReadonly,
		sqlite3.ErrCantOpen, sqlite3.ErrNotADB, sqlite3.ErrPerm, sqlite3.ErrProtocol:
		return storeFault
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return eitherFault
	default:
		return workFault
	}
}

// failure is why a group is not on disk.
type failure struct {
	step string // begin, cursors, write, commit
	err  error
	by   *item // whose work it was in; nil where that is not known
}

// early reports whether no work had run: it cannot be any work's fault.
func (f *failure) early() bool { return f.by == nil && f.step != "commit" }

// sort tells those of a group that failed who can have nothing to do with it from those who may.
func (f *failure) sort(items []*item) (others, suspects []*item) {
	if blame(f.err) == storeFault {
		return nil, items
	}
	for _, it := range items {
		if it == f.by || f.by == nil && it.unit.touched {
			suspects = append(suspects, it)
		} else {
			others = append(others, it)
		}
	}
	if len(suspects) == 0 {
		return nil, items
	}
	return others, suspects
}

// charge says what to answer to it, which failed alone. What is not the store's for certain is tried out: a commit of
// the journal's own row shows whether the store would take other work.
func (w *writer) charge(it *item, f *failure) error {
	if errors.Is(f.err, errAnswered) {
		return f.err
	}
	if !f.early() && blame(f.err) != storeFault {
		tried := w.try()
		if tried == nil {
			w.noteTrouble(nil)
			return failed(it, f.err)
		}
		f.err = errors.Join(f.err, tried)
	}
	err := unavailable(f.step, f.err)
	w.noteTrouble(err)
	return err
}

// failed says that the work itself, not the store, is why it is not on disk.
func failed(it *item, err error) error {
	return fmt.Errorf("%w: %s: %w", journal.ErrFailed, it.work.Name, err)
}

// try commits a row of the journal's own.
func (w *writer) try() error {
	if _, _, err := w.kept.begin.exec(); err != nil {
		return err
	}
	_, _, err := w.kept.trial.exec()
	if err == nil {
		err = w.commit()
	}
	if err != nil {
		w.rollback()
		return err
	}
	w.sync.committed(0, nil)
	return nil
}

func unavailable(step string, err error) error {
	if errors.Is(err, journal.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", journal.ErrUnavailable, step, explain(err))
}
