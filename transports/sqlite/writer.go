package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/oncelog"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// writer is the one goroutine that writes. Work queues for it; it takes all that is ready into one transaction, a
// savepoint each, commits once, and answers all: that is what makes a synced commit cheap (docs/decisions/0002).
//
// Lock order: mu is a leaf. No user code runs under it.
type writer struct {
	cfg   Config
	raw   *sqlite3.SQLiteConn // the write connection: only the running goroutine uses it
	fence *fence              // its authorizer
	face  *face               // what work sees of it; the running goroutine's
	kept  *kept
	owner uintptr         // the running goroutine
	over  *sql.Tx         // has ended
	held  *time.Timer     // of endTx; likewise
	aside map[string]bool // the names of work that uses its transaction in several goroutines; the running goroutine's

	late      atomic.Bool // it does not run yet
	start     func(context.Context) error
	sync      *syncer
	committed func(*commit)     // wakes and answers whom it concerns
	between   func(*kept) error // runs at the start of every group, inside its transaction

	mu      sync.Mutex
	queue   []*item
	closed  bool
	wake    chan struct{} // capacity 1
	stopped chan struct{} // closed when the last goroutine has ended
	answers sync.Pool     // of channels of capacity 1, empty; one is given back when its answer is taken, or will never come

	health  health               // for anybody
	trouble oncelog.Problem      // the running goroutine's
	slowAt  map[string]time.Time // by work, when it was last reported; the running goroutine's
	differs differs              // likewise
}

func newWriter(cfg Config, conn *sql.Conn) (*writer, error) {
	w := &writer{cfg: cfg, wake: make(chan struct{}, 1), stopped: make(chan struct{}), slowAt: map[string]time.Time{}, aside: map[string]bool{}}
	w.health.sick = make(chan struct{}, 1)
	w.late.Store(true)
	w.answers.New = func() any { return make(chan error, 1) }
	err := conn.Raw(func(c any) (err error) {
		w.face = c.(*face)
		w.raw = w.face.raw
		w.fence = newFence(w.raw, cfg.Fence) // first: with a new authorizer every statement is prepared again
		return nil
	})
	if err != nil {
		return nil, err
	}
	w.face.fence, w.face.conn = w.fence, conn
	w.over, err = newOver()
	return w, err
}

// prepare prepares the journal's own statements.
func (w *writer) prepare() (err error) {
	w.kept, err = prepareKept(w.raw)
	return err
}

// closeFiles closes the write connection. The goroutine has ended.
func (w *writer) closeFiles() error {
	err := error(nil)
	if w.kept != nil {
		err = w.kept.close()
	}
	return errors.Join(err, w.face.close(), w.raw.Close())
}

// submit queues it and waits for its answer. When ctx ends first, work that has not begun is taken back.
func (w *writer) submit(ctx context.Context, it *item) error {
	if err := w.begun(ctx); err != nil {
		return err
	}
	it.answer = w.answers.Get().(chan error)
	defer w.answers.Put(it.answer)
	for {
		if err := w.enqueue(it); err != nil {
			return err
		}
		var err error
		select {
		case err = <-it.answer:
		case <-ctx.Done():
			if it.state.CompareAndSwap(itemQueued, itemCancelled) {
				return ctx.Err()
			}
			err = <-it.answer // it has begun: its outcome is the truth
		}
		if err != errAsked {
			return err
		}
		if err := it.kin(); err != nil {
			return err
		}
		it.state.Store(itemQueued)
	}
}

// begun has the writer started, if it is not. The start goes on when ctx ends first.
func (w *writer) begun(ctx context.Context) error {
	if !w.late.Load() {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- w.start(context.WithoutCancel(ctx)) }() // Close waits for it
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enqueue queues it; whoever wants its answer reads it.answer.
func (w *writer) enqueue(it *item) error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return journal.ErrClosed
	}
	w.queue = append(w.queue, it)
	first := len(w.queue) == 1
	w.mu.Unlock()
	if first {
		wake.Poke(w.wake)
	}
	return nil
}

// close lets the queue run empty, and returns when it has.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	wake.Poke(w.wake)
	<-w.stopped
}

// loop is the goroutine of tenure r. When work hung and the goroutine was replaced, loop returns without answering.
func (w *writer) loop(r *tenure) {
	defer r.gone()
	r.start()
	for {
		w.gather()
		items, closed := w.take()
		if len(items) == 0 {
			if closed {
				close(w.stopped)
				return
			}
			<-w.wake
			continue
		}
		if replaced := w.write(r, items, nil); replaced {
			return
		}
	}
}

// fewItems is a group so small that its commit costs more than its work.
const fewItems = 48

// gather gives way once when there is little to do. Those whom the last commit woke are about to queue what comes next:
// letting them do so first makes one large group of what would be many small ones. When nobody is ready to run, it
// returns at once.
func (w *writer) gather() {
	w.mu.Lock()
	few := len(w.queue) < fewItems
	w.mu.Unlock()
	if few {
		runtime.Gosched()
	}
}

// take returns the next items to write together: up to cfg.Group of them, or a single one that runs alone.
func (w *writer) take() (items []*item, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), w.cfg.Group)
	for i, it := range w.queue[:n] {
		if it.alone != nil {
			n = max(i, 1)
			break
		}
	}
	items = append(items, w.queue[:n]...)
	rest := copy(w.queue, w.queue[n:])
	clear(w.queue[rest:])
	w.queue = w.queue[:rest]
	return items, w.closed
}

// write brings items to disk, and answers them. It reports whether this goroutine was replaced meanwhile. beyond are
// others that it holds.
func (w *writer) write(r *tenure, items, beyond []*item) (replaced bool) {
	if len(items) == 1 && items[0].alone != nil {
		if it := items[0]; it.take() {
			it.reply(it.alone(w.face.conn))
		}
		return false
	}
	for len(items) > 0 {
		r.hold(items, beyond)
		written := under(&w.health.writing)
		if f := w.begin(); f != nil {
			written()
			w.refuse(items, f)
			return false
		}
		n, f := w.group(r, items)
		written()
		switch {
		case f == nil:
			w.noteTrouble(nil)
		case errors.Is(f.err, errReplaced):
			return true
		case n == 1:
			if w.answer(r, items[0], f) {
				return true
			}
		default:
			if n, replaced = w.apart(r, items, n, f, beyond); replaced {
				return true
			}
		}
		items = items[n:]
	}
	return false
}

// requeue puts items that were not answered to the front.
func (w *writer) requeue(items []*item) {
	for _, it := range items {
		it.giveBack()
	}
	w.mu.Lock()
	w.queue = append(append([]*item{}, items...), w.queue...)
	w.mu.Unlock()
	wake.Poke(w.wake)
}

// begin opens a transaction, and writes what is to be written with every one.
func (w *writer) begin() *failure {
	if err := w.sync.health(); err != nil {
		return &failure{step: "sync", err: err}
	}
	if _, _, err := w.kept.begin.exec(); err != nil {
		return &failure{step: "begin", err: err}
	}
	err := w.between(w.kept)
	if err == nil {
		err = w.face.beginTx()
	}
	if err != nil {
		w.rollback()
		return &failure{step: "cursors", err: err}
	}
	return nil
}

// commit makes the transaction's commit, which is not durable yet.
func (w *writer) commit() error {
	w.sync.begin()
	_, _, err := w.kept.commit.exec()
	if err != nil {
		w.sync.committed(0, nil)
	}
	return err
}

// rollback ends the transaction, if SQLite has not done so: what it did not do then is found by the next begin.
func (w *writer) rollback() {
	w.endTx()
	if !w.raw.AutoCommit() {
		_, _, _ = w.kept.abort.exec()
	}
}

// groupTime is how long a group may take before it is committed, whatever is left of it: those who are done with should
// not wait for others' slow work.
const groupTime = 20 * time.Millisecond

// group runs items in the transaction that is open, and answers them after its commit: n of them, the first ones. A
// failure means that nothing of those is on disk and that nobody was answered.
func (w *writer) group(r *tenure, items []*item) (n int, f *failure) {
	began := time.Now()
	var done commit
	for start := began; n < len(items) && start.Sub(began) < groupTime; {
		it := items[n]
		n++
		if !it.take() {
			continue
		}
		it.begin(w, r, len(w.aside) > 0 && w.aside[it.work.Name])
		it.err = w.runItem(it)
		if errors.Is(it.err, errReplaced) {
			return len(items), &failure{err: errReplaced} // whoever replaced us has seen to all of them
		}
		end := time.Now()
		if held := end.Sub(start); w.cfg.SlowWork > 0 && held > w.cfg.SlowWork && it.work.Module != "" {
			w.reportSlow(it.work.Name, held)
		}
		start = end
		if it.unit.failed != nil {
			r.end()
			w.rollback()
			return n, &failure{step: "write", err: it.unit.failed, by: it}
		}
		done.add(it)
	}
	r.end()
	w.endTx()
	if err := w.commit(); err != nil {
		w.rollback()
		return n, &failure{step: "commit", err: err}
	}
	w.committed(&done)
	return n, nil
}

// commit is what a group has put on disk.
type commit struct {
	items    []*item
	appended []*journal.Event
	delayed  bool // there are new delayed events
}

func (c *commit) add(it *item) {
	c.items = append(c.items, it)
	c.appended = append(c.appended, it.unit.appended...)
	c.delayed = c.delayed || it.unit.delayed
}

// head is the seq of its newest event, 0 if there is none.
func (c *commit) head() int64 {
	if len(c.appended) == 0 {
		return 0
	}
	return c.appended[len(c.appended)-1].Seq
}

// runItem runs one item under its savepoint.
func (w *writer) runItem(it *item) error {
	err := it.run(it.unit)
	if errors.Is(err, errOther) {
		if failed := it.unit.rollback(); failed != nil {
			return failed
		}
		w.aside[it.work.Name] = true
		err = it.run(it.begin(w, it.unit.tenure, true))
	}
	if errors.Is(err, errReplaced) {
		return err
	}
	u := it.unit
	if u.failed != nil {
		return u.failed
	}
	if err == nil && u.hand != nil {
		err = failed(it, u.hand)
	}
	if err != nil {
		u.appended, u.delayed = nil, false
		if failed := u.rollback(); failed != nil {
			return failed
		}
		return err
	}
	return u.release()
}

// reportSlow says, at most every ten seconds, that work held up every other write.
func (w *writer) reportSlow(name string, held time.Duration) {
	now := time.Now()
	if now.Sub(w.slowAt[name]) < 10*time.Second {
		return
	}
	w.slowAt[name] = now
	w.cfg.Logger.LogAttrs(context.Background(), slog.LevelWarn, "work held the transaction, and every other write with it; if it waits for something outside, mark the handler external",
		slog.String("work", name), slog.Duration("held", held.Round(time.Millisecond)))
}
