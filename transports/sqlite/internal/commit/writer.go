package commit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/oncelog"
	"github.com/troupebus/troupe/transports/sqlite/internal/goroutine"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
	"github.com/troupebus/troupe/transports/sqlite/internal/workconn"
)

// Writer is the only goroutine that writes. It takes all queued work into one transaction, with a savepoint for each
// item, commits once, and answers all items: grouping makes a synced commit cheap (docs/decisions/0002).
//
// Lock order: mu is a leaf. No user code runs under mu.
type Writer struct {
	cfg   Config
	conn  *workconn.Conn // for the running goroutine
	kept  kept
	aside map[string]bool // names of work that uses its transaction in several goroutines; for the running goroutine

	Hooks Hooks

	late atomic.Bool // the goroutine was not started yet
	sync *syncer

	mu      sync.Mutex
	queue   []*Item
	closed  bool
	wake    chan struct{} // capacity 1
	stopped chan struct{} // closed when the last goroutine has ended
	answers sync.Pool     // of empty channels of capacity 1; a channel whose answer was taken or never comes

	health  health               // safe for concurrent use
	trouble oncelog.Problem      // for the running goroutine
	slowAt  map[string]time.Time // time of the last report by work; for the running goroutine
	differs differs              // for the running goroutine
}

// Submit queues an item and waits for the answer. When ctx ends first, an item that has not begun is taken back.
func (w *Writer) Submit(ctx context.Context, it *Item) error {
	if err := w.Begun(ctx); err != nil {
		return err
	}
	it.Answer, it.caller = w.answers.Get().(chan error), goroutine.Current()
	defer w.answers.Put(it.Answer)
	for {
		if err := w.Enqueue(it); err != nil {
			return err
		}
		var err error
		select {
		case err = <-it.Answer:
		case <-ctx.Done():
			if it.state.CompareAndSwap(itemQueued, itemCancelled) {
				return ctx.Err()
			}
			err = <-it.Answer // the item has begun: wait for the outcome
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

// Begun starts the writer if necessary. The start goes on when ctx ends first.
func (w *Writer) Begun(ctx context.Context) error {
	if !w.late.Load() {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- w.startLate(context.WithoutCancel(ctx)) }() // Close waits for it
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// startLate starts the writer for the first work.
func (w *Writer) startLate(ctx context.Context) error {
	switch err := w.Hooks.Start(ctx); {
	case err == nil:
		return nil
	case workconn.Blame(err) != workconn.WorkFault:
		err = unavailable("bring the journal up to date", err)
		w.health.note(err)
		return err
	default:
		return fmt.Errorf("bring the journal up to date: %w", err)
	}
}

// Enqueue queues an item. To get the answer, read it.Answer.
func (w *Writer) Enqueue(it *Item) error {
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

// EnqueueEmpty queues an item without work: a group begins and is committed, with its hooks.
func (w *Writer) EnqueueEmpty() error {
	return w.Enqueue(&Item{Run: func(*Unit) error { return nil }})
}

// loop is the goroutine of tenure r. When work hung and the goroutine was replaced, loop returns without answering.
func (w *Writer) loop(r *tenure) {
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

// fewItems is the size below which the commit of a group costs more than the work.
const fewItems = 48

// Queued returns the number of items in the queue.
func (w *Writer) Queued() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue)
}

// gather yields once when the queue is short. Goroutines that the last commit woke are about to queue more work: a
// larger group needs fewer commits. Without a runnable goroutine, gather returns at once.
func (w *Writer) gather() {
	if w.Queued() < fewItems {
		runtime.Gosched()
	}
}

// take returns the next items to write together: up to cfg.Group items, or a single item that runs alone.
func (w *Writer) take() (items []*Item, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), w.cfg.Group)
	for i, it := range w.queue[:n] {
		if it.Alone != nil {
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

// write writes and answers items. It reports whether this goroutine was replaced meanwhile. The goroutine also holds
// the items in beyond.
func (w *Writer) write(r *tenure, items, beyond []*Item) (replaced bool) {
	if len(items) == 1 && items[0].Alone != nil {
		if it := items[0]; it.take() {
			it.reply(it.Alone(w.conn.SQL()))
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

// requeue puts unanswered items at the front of the queue.
func (w *Writer) requeue(items []*Item) {
	for _, it := range items {
		it.giveBack()
	}
	w.mu.Lock()
	w.queue = append(append([]*Item{}, items...), w.queue...)
	w.mu.Unlock()
	wake.Poke(w.wake)
}

// begin opens a transaction, and runs Hooks.Begin.
func (w *Writer) begin() *failure {
	if err := w.sync.health(); err != nil {
		return &failure{step: "sync", err: err}
	}
	if _, _, err := w.kept.begin.Exec(); err != nil {
		return &failure{step: "begin", err: err}
	}
	err := w.Hooks.Begin()
	if err == nil {
		err = w.conn.Lend()
	}
	if err != nil {
		w.conn.Undo()
		return &failure{step: "cursors", err: err}
	}
	return nil
}

// commit commits the transaction. The commit is not durable yet.
func (w *Writer) commit() error {
	w.sync.begin()
	_, _, err := w.kept.commit.Exec()
	if err != nil {
		w.sync.committed(0, nil)
	}
	return err
}

// groupTime is the duration after which a group is committed even if items are left: finished items should not wait for
// the slow work of others.
const groupTime = 20 * time.Millisecond

// group runs items in the open transaction, and answers the first n of them after the commit. On a failure, none of the
// n is on disk and none was answered.
func (w *Writer) group(r *tenure, items []*Item) (n int, f *failure) {
	began := time.Now()
	done := Group{items: make([]*Item, 0, len(items)), Appended: make([]*journal.Event, 0, len(items))}
	for start := began; n < len(items) && start.Sub(began) < groupTime; {
		it := items[n]
		n++
		if !it.take() {
			continue
		}
		it.begin(w, r, len(w.aside) > 0 && w.aside[it.Work.Name])
		it.err = w.runItem(it)
		if errors.Is(it.err, errReplaced) {
			return len(items), &failure{err: errReplaced} // replace has handled all items
		}
		end := time.Now()
		if held := end.Sub(start); w.cfg.SlowWork > 0 && held > w.cfg.SlowWork && it.Work.Module != "" {
			w.reportSlow(it.Work.Name, held)
		}
		start = end
		if it.unit.turn.Failed != nil {
			r.end()
			w.conn.Undo()
			return n, &failure{step: "write", err: it.unit.turn.Failed, by: it}
		}
		done.add(it)
	}
	r.end()
	w.conn.End()
	if err := w.commit(); err != nil {
		w.conn.Undo()
		return n, &failure{step: "commit", err: err}
	}
	w.Hooks.Committed(&done)
	w.sync.committed(done.head(), done.items)
	return n, nil
}

// runItem runs an item under a savepoint.
func (w *Writer) runItem(it *Item) error {
	err := it.Run(it.unit)
	if errors.Is(err, workconn.ErrOther) {
		if failed := it.unit.turn.Rollback(); failed != nil {
			return failed
		}
		w.aside[it.Work.Name] = true
		err = it.Run(it.begin(w, it.unit.tenure, true))
	}
	if errors.Is(err, errReplaced) {
		return err
	}
	u := it.unit
	if u.turn.Failed != nil {
		return u.turn.Failed
	}
	if err == nil && u.hand != nil {
		err = failed(it, u.hand)
	}
	if err != nil {
		u.appended, u.delayed = nil, false
		if failed := u.turn.Rollback(); failed != nil {
			return failed
		}
		return err
	}
	return u.turn.Release()
}

// reportSlow logs, at most every ten seconds, that work held up all other writes.
func (w *Writer) reportSlow(name string, held time.Duration) {
	now := time.Now()
	if now.Sub(w.slowAt[name]) < 10*time.Second {
		return
	}
	w.slowAt[name] = now
	w.cfg.Logger.LogAttrs(context.Background(), slog.LevelWarn, "work held the transaction and blocked all other writes: only an external handler may wait for the outside",
		slog.String("work", name), slog.Duration("held", held.Round(time.Millisecond)))
}
