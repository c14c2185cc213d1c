package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// fault says whose an error of SQLite is.
type fault int

const (
	workFault   fault = iota // it does not concern the store, as far as the error tells
	storeFault               // it would meet everybody
	eitherFault              // trying the work alone tells
)

// blame looks at the error alone. A work's own are above all its constraints, an interrupt by its own context, and what
// is too big. A statement of an open writing transaction is busy or locked only because of the transaction's own other
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

// answer answers it, which failed alone. It reports whether this goroutine was replaced meanwhile.
func (w *writer) answer(r *tenure, it *item, f *failure) (replaced bool) {
	err := w.charge(r, it, f)
	if errors.Is(err, errReplaced) {
		return true
	}
	it.reply(err)
	return false
}

// charge says what to answer to it, which failed alone. What is not the store's for certain is tried out: a commit of
// the journal's own row shows whether the store would take other work.
func (w *writer) charge(r *tenure, it *item, f *failure) error {
	if errors.Is(f.err, errAnswered) {
		return f.err
	}
	own := blame(f.err) != storeFault
	if full := isFull(f); !f.early() && (own || full) {
		tried := w.try()
		if full && tried == nil {
			var err error
			if own, err = w.usedUp(r, it); err != nil {
				return err
			}
			if own {
				f.err = fmt.Errorf("a table with AUTOINCREMENT has had the last number, %d, and takes no more rows: %w", int64(lastNumber), f.err)
			}
		}
		if own && tried == nil {
			w.noteTrouble(nil)
			return failed(it, f.err)
		}
		f.err = errors.Join(f.err, tried)
	}
	err := unavailable(f.step, f.err)
	w.noteTrouble(err)
	return err
}

// lastNumber is that of a table with AUTOINCREMENT. To an insert behind it SQLite says that the disk is full.
const lastNumber = math.MaxInt64

// isFull reports whether f is what SQLite says of both, a full disk and a table that has used up its numbers.
func isFull(f *failure) bool {
	var e sqlite3.Error
	return f.step == "write" && errors.As(f.err, &e) && e.Code == sqlite3.ErrFull
}

// usedUp reports whether what is full is a table, not the store: one that had the last number before, or gets it from
// the work itself. For that the work runs once more, and is undone. An error is errReplaced.
func (w *writer) usedUp(r *tenure, it *item) (bool, error) {
	if f := w.begin(); f != nil {
		return false, nil
	}
	if tables, _, err := w.kept.usedUp.exec(); err != nil || tables > 0 {
		w.rollback()
		return err == nil, nil
	}
	had := false
	w.raw.RegisterUpdateHook(func(op int, _, _ string, number int64) {
		had = had || op != sqlite3.SQLITE_DELETE && number == lastNumber
	})
	it.begin(w, r, true)
	err := w.runItem(it)
	if errors.Is(err, errReplaced) {
		return false, err
	}
	r.end()
	w.raw.RegisterUpdateHook(nil)
	w.rollback()
	return had && isFull(&failure{step: "write", err: it.unit.failed}), nil
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
	return fmt.Errorf("%w: %s: %w", journal.ErrUnavailable, step, row.Explain(err))
}

// apart brings the first n of items to disk, which failed together, so that the one that is at fault fails alone. It
// returns how many it has answered.
func (w *writer) apart(r *tenure, items []*item, n int, f *failure, beyond []*item) (answered int, replaced bool) {
	for _, it := range items[:n] {
		it.giveBack()
	}
	others, suspects := f.sort(items[:n])
	rest := slices.Concat(items[n:], beyond)
	if w.write(r, others, slices.Concat(suspects, rest)) {
		return 0, true
	}
	if f.by != nil && blame(f.err) == workFault { // no other work can have to do with it
		if f.by.take() && w.answer(r, f.by, f) {
			return 0, true
		}
		return n, false
	}
	for i, it := range suspects {
		r.hold(suspects[i:], rest)
		if f := w.begin(); f != nil { // nobody can write: those behind need not wait for that again
			w.refuse(suspects[i:], f)
			w.refuse(items[n:], f)
			return len(items), false
		}
		_, f := w.group(r, suspects[i:i+1])
		switch {
		case f == nil:
			w.noteTrouble(nil)
		case errors.Is(f.err, errReplaced):
			return 0, true
		default:
			if w.answer(r, it, f) {
				return 0, true
			}
		}
	}
	return n, false
}

// refuse answers items that none of has run.
func (w *writer) refuse(items []*item, f *failure) {
	err := unavailable(f.step, f.err)
	w.noteTrouble(err)
	for _, it := range items {
		if it.take() {
			it.reply(err)
		}
	}
}

// noteTrouble records that the store refuses work, or with a nil error that the store accepts work again.
func (w *writer) noteTrouble(err error) {
	w.health.note(err)
	if err == nil {
		if commits, _ := w.trouble.Over(time.Now()); commits > 0 {
			w.cfg.Logger.LogAttrs(context.Background(), slog.LevelInfo, "the journal writes again", slog.Int("refused", commits))
		}
		return
	}
	if commits := w.trouble.Failed(time.Now()); commits > 0 {
		w.cfg.Logger.LogAttrs(context.Background(), slog.LevelError, "the journal cannot write: publishers get errors, reactions wait",
			slog.Int("commits", commits), slog.Any("error", err))
	}
}
