package commit

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
	"github.com/troupebus/troupe/transports/sqlite/internal/workconn"
)

// ErrAnswered fails a group of work whose outcome the journal has, while the memory had none. The group is rolled back,
// and the work gets this error.
var ErrAnswered = errors.New("sqlite: delivery is answered")

// failure is the reason that a group is not on disk.
type failure struct {
	step string // begin, cursors, write, commit
	err  error
	by   *Item // the work in which the failure occurred; nil if unknown
}

// early reports whether no work had run: then no work can be at fault.
func (f *failure) early() bool { return f.by == nil && f.step != "commit" }

// sort divides the items of a failed group into those that cannot have caused the failure and those that may.
func (f *failure) sort(items []*Item) (others, suspects []*Item) {
	if workconn.Blame(f.err) == workconn.StoreFault {
		return nil, items
	}
	for _, it := range items {
		if it == f.by || f.by == nil && it.unit.turn.Touched {
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

// answer answers an item that failed alone. It reports whether this goroutine was replaced meanwhile.
func (w *Writer) answer(r *tenure, it *Item, f *failure) (replaced bool) {
	err := w.charge(r, it, f)
	if errors.Is(err, errReplaced) {
		return true
	}
	it.reply(err)
	return false
}

// charge returns the answer to an item that failed alone. Unless the store is certainly at fault, charge commits a row
// of the journal, to see whether the store accepts other work.
func (w *Writer) charge(r *tenure, it *Item, f *failure) error {
	if errors.Is(f.err, ErrAnswered) {
		return f.err
	}
	own := workconn.Blame(f.err) != workconn.StoreFault
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

// lastNumber is the highest AUTOINCREMENT number. After a row with this number, SQLite reports an insert as a full
// disk.
const lastNumber = math.MaxInt64

// isFull reports whether f may be a full disk or a table with used-up numbers: SQLite reports the same error.
func isFull(f *failure) bool {
	var e sqlite3.Error
	return f.step == "write" && errors.As(f.err, &e) && e.Code == sqlite3.ErrFull
}

// usedUp reports whether a table, not the store, is full: the table had the last number before, or the work used it. To
// find out, the work runs once more, and is undone. An error is errReplaced.
func (w *Writer) usedUp(r *tenure, it *Item) (bool, error) {
	if f := w.begin(); f != nil {
		return false, nil
	}
	if tables, _, err := w.kept.usedUp.Exec(); err != nil || tables > 0 {
		w.conn.Undo()
		return err == nil, nil
	}
	had := false
	w.conn.OnUpdate(func(op int, _, _ string, number int64) {
		had = had || op != sqlite3.SQLITE_DELETE && number == lastNumber
	})
	it.begin(w, r, true)
	err := w.runItem(it)
	if errors.Is(err, errReplaced) {
		return false, err
	}
	r.end()
	w.conn.OnUpdate(nil)
	w.conn.Undo()
	return had && isFull(&failure{step: "write", err: it.unit.turn.Failed}), nil
}

// failed returns the error for a fault of the work itself.
func failed(it *Item, err error) error {
	return fmt.Errorf("%w: %s: %w", journal.ErrFailed, it.Work.Name, err)
}

// try commits a row of the journal.
func (w *Writer) try() error {
	if _, _, err := w.kept.begin.Exec(); err != nil {
		return err
	}
	_, _, err := w.kept.trial.Exec()
	if err == nil {
		err = w.commit()
	}
	if err != nil {
		w.conn.Undo()
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

// apart writes the first n of items, which failed together, so that the item at fault fails alone. It returns the
// number of answered items.
func (w *Writer) apart(r *tenure, items []*Item, n int, f *failure, beyond []*Item) (answered int, replaced bool) {
	for _, it := range items[:n] {
		it.giveBack()
	}
	others, suspects := f.sort(items[:n])
	rest := slices.Concat(items[n:], beyond)
	if w.write(r, others, slices.Concat(suspects, rest)) {
		return 0, true
	}
	if f.by != nil && workconn.Blame(f.err) == workconn.WorkFault { // only this work can be at fault
		if f.by.take() && w.answer(r, f.by, f) {
			return 0, true
		}
		return n, false
	}
	for i, it := range suspects {
		r.hold(suspects[i:], rest)
		if f := w.begin(); f != nil { // the store refuses all work: answer the other items without trying
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

// refuse answers items that have not run.
func (w *Writer) refuse(items []*Item, f *failure) {
	err := unavailable(f.step, f.err)
	w.noteTrouble(err)
	for _, it := range items {
		if it.take() {
			it.reply(err)
		}
	}
}

// noteTrouble records that the store refuses work, or with a nil error that the store accepts work again.
func (w *Writer) noteTrouble(err error) {
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
