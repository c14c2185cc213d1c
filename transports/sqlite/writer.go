package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/troupebus/troupe/bus/journal"
)

// writer is the one goroutine that writes. Work queues for it; it takes all that is ready into one transaction, a
// savepoint each, commits once, and answers all: that is what makes a synced commit cheap (docs/decisions/0002).
//
// Lock order: mu is a leaf. No user code runs under it.
type writer struct {
	cfg  Config
	conn *sql.Conn           // the write connection: only the running goroutine uses it
	raw  *sqlite3.SQLiteConn // the same, beneath database/sql
	kept *kept

	sync      *syncer
	committed func(*commit)     // wakes and answers whom it concerns
	between   func(*kept) error // runs at the start of every group, inside its transaction

	mu      sync.Mutex
	queue   []*item
	closed  bool
	wake    chan struct{} // capacity 1
	stopped chan struct{} // closed when the last goroutine has ended
	answers sync.Pool     // of channels of capacity 1, empty; one is given back when its answer is taken, or will never come

	trouble trouble              // the running goroutine's
	slowAt  map[string]time.Time // by work, when it was last reported; the running goroutine's
	fence   *fence
}

func newWriter(cfg Config, conn *sql.Conn) (*writer, error) {
	w := &writer{cfg: cfg, conn: conn, wake: make(chan struct{}, 1), stopped: make(chan struct{}), slowAt: map[string]time.Time{}}
	w.answers.New = func() any { return make(chan error, 1) }
	err := conn.Raw(func(c any) (err error) {
		w.raw = c.(*sqlite3.SQLiteConn)
		if cfg.Fence != nil { // first: an authorizer that comes later has every statement prepared again
			w.fence = newFence(w.raw, cfg.Fence)
		}
		w.kept, err = prepareKept(w.raw)
		return err
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// submit queues it and waits for its answer. When ctx ends first, work that has not begun is taken back.
func (w *writer) submit(ctx context.Context, it *item) error {
	it.answer = w.answers.Get().(chan error)
	defer w.answers.Put(it.answer)
	if err := w.enqueue(it); err != nil {
		return err
	}
	select {
	case err := <-it.answer:
		return err
	case <-ctx.Done():
		if it.state.CompareAndSwap(itemQueued, itemCancelled) {
			return ctx.Err()
		}
		return <-it.answer // it has begun: its outcome is the truth
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
		poke(w.wake)
	}
	return nil
}

// close lets the queue run empty, and returns when it has.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	poke(w.wake)
	<-w.stopped
}

// loop is the writer's goroutine. r is its life: a goroutine that was deposed, because work hung in it, ends without a
// word.
func (w *writer) loop(r *reign) {
	defer r.gone()
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
		if deposed := w.write(r, items); deposed {
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

// write runs items that nobody has taken back, and answers them. It reports whether this goroutine was deposed meanwhile.
func (w *writer) write(r *reign, items []*item) (deposed bool) {
	live := items[:0]
	for _, it := range items {
		if it.state.CompareAndSwap(itemQueued, itemTaken) {
			live = append(live, it)
		}
	}
	if len(live) == 1 && live[0].alone != nil {
		live[0].reply(live[0].alone(w.conn))
		return false
	}
	for len(live) > 0 {
		r.hold(nil)
		n, err := w.group(r, live)
		if err != nil && !errors.Is(err, errDeposed) {
			w.noteTrouble(err)
			err = w.oneByOne(r, live, n, err)
		} else if err == nil {
			w.noteTrouble(nil)
		}
		if err != nil {
			return true
		}
		live = live[n:]
	}
	return false
}

// oneByOne runs the first n items again, which the store refused as a group, so that the one that is at fault (because it fills the
// disk, or broke the transaction) fails alone. cause is what was said to the group.
func (w *writer) oneByOne(r *reign, items []*item, n int, cause error) error {
	if n == 1 {
		items[0].reply(cause)
		return nil
	}
	for i, it := range items[:n] {
		r.hold(items[i+1:])
		_, err := w.group(r, items[i:i+1])
		if errors.Is(err, errDeposed) {
			return err
		}
		if err != nil {
			it.reply(err)
		}
	}
	return nil
}

// tellAgain is how long the log hears nothing more of a trouble. On a disk that is all but full, what is small is still written, and what
// is larger is not: trouble comes and goes a hundred times a second.
const tellAgain = time.Minute

// trouble is that the store refuses work.
type trouble struct {
	is      bool      // the last group was refused
	known   bool      // the log has heard of it since it began
	told    time.Time // when the log last heard of any
	refused int       // groups since then
}

// noteTrouble reports that the store refuses work, and that it takes it again.
func (w *writer) noteTrouble(err error) {
	t := &w.trouble
	switch now := time.Now(); {
	case err == nil && t.is && t.known:
		w.cfg.Logger.LogAttrs(context.Background(), slog.LevelInfo, "the journal writes again")
	case err != nil:
		t.known = t.known && t.is
		if t.refused++; t.told.IsZero() || now.Sub(t.told) >= tellAgain {
			w.cfg.Logger.LogAttrs(context.Background(), slog.LevelError, "the journal cannot write: publishers get errors, reactions wait",
				slog.Int("commits", t.refused), slog.Any("error", err))
			t.known, t.told, t.refused = true, now, 0
		}
	}
	t.is = err != nil
}

// requeue puts items that were taken back to the front.
func (w *writer) requeue(items []*item) {
	for _, it := range items {
		it.state.Store(itemQueued)
	}
	w.mu.Lock()
	w.queue = append(append([]*item{}, items...), w.queue...)
	w.mu.Unlock()
	poke(w.wake)
}

// groupTime is how long a group may take before it is committed, whatever is left of it: those who are done with should
// not wait for others' slow work.
const groupTime = 20 * time.Millisecond

// group runs items in one transaction and answers them after its commit: n of them, the first ones. An error means that
// nothing of those is on disk and that nobody was answered.
func (w *writer) group(r *reign, items []*item) (n int, err error) {
	if err := w.sync.health(); err != nil {
		return len(items), err
	}
	tx, err := w.conn.BeginTx(context.Background(), nil)
	if err != nil {
		return len(items), unavailable("begin", err)
	}
	began := time.Now()
	r.begin(tx, items)
	if err := w.between(w.kept); err != nil {
		return len(items), errors.Join(unavailable("cursors", err), r.end(tx.Rollback))
	}
	var done commit
	for start := began; n < len(items) && start.Sub(began) < groupTime; {
		it := items[n]
		n++
		it.unit = unit{w: w, reign: r, it: it, tx: tx}
		it.err = w.runItem(it)
		end := time.Now()
		if held := end.Sub(start); w.cfg.SlowWork > 0 && held > w.cfg.SlowWork && it.work.Module != "" && !errors.Is(it.err, errDeposed) {
			w.reportSlow(it.work.Name, held)
		}
		start = end
		if errors.Is(it.err, errDeposed) {
			return len(items), errDeposed // whoever deposed us has seen to all of them
		}
		if it.unit.failed != nil {
			return n, errors.Join(unavailable("write", it.unit.failed), r.end(tx.Rollback))
		}
		done.add(&it.unit)
	}
	w.sync.begin()
	if err := r.end(tx.Commit); err != nil {
		w.sync.committed(0, nil)
		return n, errors.Join(unavailable("commit", err), ignoreDone(tx.Rollback()))
	}
	done.items = items[:n]
	w.committed(&done)
	return n, nil
}

// commit is what a group has put on disk.
type commit struct {
	items    []*item
	appended []*journal.Event
	delayed  bool // there are new delayed events
}

func (c *commit) add(u *unit) {
	c.appended = append(c.appended, u.appended...)
	c.delayed = c.delayed || u.delayed
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
	u := &it.unit
	err := it.run(u)
	if errors.Is(err, errDeposed) {
		return err
	}
	if u.failed != nil {
		return u.failed
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

func unavailable(step string, err error) error {
	return fmt.Errorf("%w: %s: %w", journal.ErrUnavailable, step, explain(err))
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}
