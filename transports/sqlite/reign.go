package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// errDeposed ends a writer goroutine whose work hung: another one has taken its place.
var errDeposed = errors.New("sqlite: writer deposed")

// reign is the time of one writer goroutine. Work runs in that goroutine, so work that never returns would hold every
// other write for ever. When it outstays its limit, the reign is ended from outside: the transaction is rolled back
// under it, which makes its *sql.Tx useless; the hung work alone is answered with journal.ErrAbandoned; the rest of its
// group goes back to the front of the queue, for a new goroutine. In the ordinary course this costs two uncontended
// locks a piece of work.
type reign struct {
	w *writer

	mu       sync.Mutex
	deposed  bool
	tx       *sql.Tx
	items    []*item // of the transaction
	rest     []*item // that this goroutine holds beyond them
	current  *item   // the work that is running in user code, nil between
	deadline time.Time
	watch    *time.Timer
	due      time.Time // when the watch was first to go off
}

// govern starts a writer goroutine.
func (w *writer) govern() {
	r := &reign{w: w}
	go w.loop(r)
}

// begin notes the group's transaction.
func (r *reign) begin(tx *sql.Tx, items []*item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tx, r.items = tx, items
}

// hold notes what this goroutine has taken beyond the group that it writes next.
func (r *reign) hold(rest []*item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rest = rest
}

// enter notes that it is about to run user code.
func (r *reign) enter(it *item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = it
	if it.work.Limit <= 0 {
		return
	}
	r.deadline = time.Now().Add(it.work.Limit)
	if r.watch == nil {
		r.due = r.deadline
		r.watch = time.AfterFunc(it.work.Limit, r.check)
	} else if r.deadline.Before(r.due) {
		r.due = r.deadline
		r.watch.Reset(it.work.Limit)
	}
}

// leave notes that user code has returned, or finds that it was too late.
func (r *reign) leave() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = nil
	if r.deposed {
		return errDeposed
	}
	return nil
}

// end finishes the group's transaction.
func (r *reign) end(finish func() error) error {
	r.mu.Lock()
	r.tx, r.items = nil, nil
	if r.watch != nil {
		r.watch.Stop()
		r.watch = nil
	}
	r.mu.Unlock()
	return finish()
}

// check runs when the watch goes off.
func (r *reign) check() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watch == nil || r.deposed {
		return // the group ended meanwhile
	}
	if r.current == nil || r.current.work.Limit <= 0 {
		r.watch.Reset(time.Second) // between two limited items: have another look
	} else if left := time.Until(r.deadline); left > 0 {
		r.watch.Reset(left)
	} else {
		r.depose(r.current)
	}
}

// gone runs when the goroutine ends. That is in order at shutdown and after depose; work that ended it
// (runtime.Goexit, as a test's FailNow does) is treated like work that never returned.
func (r *reign) gone() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil && !r.deposed {
		r.depose(r.current)
	}
}

// depose ends the reign. r.mu is held, so the hung work cannot return in between.
func (r *reign) depose(hung *item) {
	r.deposed = true
	r.current = nil
	if r.watch != nil {
		r.watch.Stop()
		r.watch = nil
	}
	r.w.interrupt()
	err := ignoreDone(r.tx.Rollback())
	r.w.fence.leave()
	rest := make([]*item, 0, len(r.items)+len(r.rest))
	for _, it := range slices.Concat(r.items, r.rest) {
		if it != hung {
			rest = append(rest, it)
		}
	}
	hung.reply(errors.Join(fmt.Errorf("%w: %s held the transaction for more than %v: it must not wait for the outside; mark it external",
		journal.ErrAbandoned, hung.work.Name, hung.work.Limit), err))
	r.w.requeue(rest)
	r.w.govern()
}

// interrupt makes a statement that runs on the write connection return, if there is one. SQLite's own interrupt is
// reached through the driver only by running a statement with a context that is over.
func (w *writer) interrupt() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = w.kept.nothing.s.ExecContext(ctx, nil) // its own outcome does not matter
}
