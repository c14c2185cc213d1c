package commit

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/goroutine"
	"github.com/troupebus/troupe/transports/sqlite/internal/workconn"
)

// errReplaced ends a writer goroutine in which work hung: a new goroutine has replaced it.
var errReplaced = errors.New("sqlite: writer goroutine replaced")

// tenure is the time of one writer goroutine. Work runs in the goroutine, so work that never returns would block all
// other writes. When work exceeds its limit, another goroutine ends the tenure: the hung work is answered with
// journal.ErrAbandoned, and the rest of the group goes back to the front of the queue. A new writer goroutine takes the
// connection away from the hung work and rolls back the transaction. Without hung work the cost is two uncontended
// locks per piece of work.
//
// Code under mu must be fast.
type tenure struct {
	w      *Writer
	before *workconn.Face // of the hung work, to be retired first; nil for the first tenure
	id     uint64         // of the goroutine
	self   uintptr        // the same goroutine, as goroutine.Current returns it

	mu       sync.Mutex
	replaced bool
	items    []*Item // being written
	rest     []*Item // held by this goroutine beyond items
	current  *Item   // the work that is running in user code, or nil
	entered  time.Time
	deadline time.Time
	watch    *time.Timer
	due      time.Time     // when the watch was set to go off
	look     time.Duration // after this time the stack of work with a row in hand is inspected
}

// startLoop starts a writer goroutine, which first takes the connection away from before, if any.
func (w *Writer) startLoop(before *workconn.Face) {
	r := &tenure{w: w, before: before}
	go w.loop(r)
}

// start prepares the goroutine to write.
func (r *tenure) start() {
	r.id, r.self = goroutine.ID(), goroutine.Current()
	if err := r.w.conn.Take(r.before); err != nil {
		r.w.noteTrouble(err)
	}
	r.before = nil
}

// hold records the items that are being written, and the others that this goroutine holds.
func (r *tenure) hold(items, rest []*Item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items, r.rest = items, rest
}

// enter records that user code of an item is about to run.
func (r *tenure) enter(it *Item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = it
	if it.Work.Limit <= 0 {
		return
	}
	r.entered, r.look = time.Now(), askAfter
	r.deadline = r.entered.Add(it.Work.Limit)
	first := min(it.Work.Limit, askAfter)
	if r.watch == nil {
		r.due = r.entered.Add(first)
		r.watch = time.AfterFunc(first, r.check)
	} else if r.deadline.Before(r.due) {
		r.due = r.deadline
		r.watch.Reset(it.Work.Limit)
	}
}

// leave records the return of user code. It returns errReplaced when the goroutine was replaced meanwhile.
func (r *tenure) leave() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = nil
	if r.replaced {
		return errReplaced
	}
	return nil
}

// end records that no more work runs in this group.
func (r *tenure) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watch != nil {
		r.watch.Stop()
		r.watch = nil
	}
}

// check runs when the watch goes off.
func (r *tenure) check() {
	suspect, since := r.inspect()
	if suspect == nil {
		return
	}
	where := goroutine.ClosesForEver(r.id)
	r.mu.Lock()
	defer r.mu.Unlock()
	if where != "" && !r.replaced && r.current == suspect && r.entered.Equal(since) {
		r.replace(suspect, panicked(suspect, where))
	}
}

// inspect acts on the running time of the current work. It returns the work when its stack must be inspected, and the
// start of the work.
func (r *tenure) inspect() (suspect *Item, since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watch == nil || r.replaced {
		return nil, since // the group has ended meanwhile
	}
	if r.current == nil || r.current.Work.Limit <= 0 {
		r.watch.Reset(time.Second) // no work runs, or it has no limit: check again later
	} else if left := time.Until(r.deadline); left > 0 {
		ran := time.Since(r.entered)
		if ran >= askAfter {
			r.w.refuseOwn(r.current, r.self)
		}
		r.watch.Reset(min(left, askAfter))
		if ran >= r.look && r.current.unit.turn.HasRow() {
			r.look = 2 * ran
			return r.current, r.entered
		}
	} else {
		r.replace(r.current, outstayed(r.current))
	}
	return nil, since
}

// outstayed returns the error for work that exceeded its limit.
func outstayed(it *Item) error {
	return fmt.Errorf("%w: %s held the transaction for more than %v: work in a transaction must not wait for the outside",
		journal.ErrAbandoned, it.Work.Name, it.Work.Limit)
}

// gone runs when the goroutine ends: at shutdown, after replace, or because the work ended the goroutine
// (runtime.Goexit, as in FailNow of a test). Such work is treated like hung work.
func (r *tenure) gone() {
	r.mu.Lock()
	if r.current != nil && !r.replaced {
		r.replace(r.current, outstayed(r.current))
	}
	replaced := r.replaced
	r.mu.Unlock()
	if replaced { // only this goroutine can close the face: database/sql's locks may be held
		_ = r.before.Shut()
	}
}

// replace ends the tenure, and answers err to the hung work. r.mu is held, so that enter and leave wait.
func (r *tenure) replace(hung *Item, err error) {
	r.replaced = true
	r.current = nil
	if r.watch != nil {
		r.watch.Stop()
		r.watch = nil
	}
	rest := slices.DeleteFunc(slices.Concat(r.items, r.rest), func(it *Item) bool { return it == hung })
	hung.reply(err)
	r.w.ask(hung, r.id) // before the other items of the group come back, which do not belong to the hung work
	r.w.requeue(rest)
	r.before = hung.unit.turn.Face()
	r.w.startLoop(r.before)
}

// panicked returns the error for work that goroutine.ClosesForEver found.
func panicked(it *Item, where string) error {
	return fmt.Errorf("%w: %w: %s panicked while it scanned a row, at %s; database/sql never closes these rows: have Scan return an error",
		journal.ErrAbandoned, journal.ErrFailed, it.Work.Name, where)
}
