package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/goroutine"
)

// errReplaced ends a writer goroutine whose work hung: another one has taken its place.
var errReplaced = errors.New("sqlite: writer goroutine replaced")

// tenure is the time of one writer goroutine. Work runs in that goroutine, so work that never returns would hold every
// other write for ever. When it outstays its limit, the tenure is ended from outside: the hung work alone is answered
// with journal.ErrAbandoned; the rest of its group goes back to the front of the queue, for a new goroutine, which
// begins with taking the connection away from the hung work and rolling back its transaction. In the ordinary course
// this costs two uncontended locks a piece of work.
//
// Nothing that may take long happens under mu.
type tenure struct {
	w      *writer
	before *face  // of the work that hung, to be taken away first; nil for the first tenure
	id     uint64 // of the goroutine

	mu       sync.Mutex
	replaced  bool
	items    []*item // that are being written
	rest     []*item // that this goroutine holds beyond them
	current  *item   // the work that is running in user code, nil between
	entered  time.Time
	deadline time.Time
	watch    *time.Timer
	due      time.Time     // when the watch was first to go off
	look     time.Duration // after which the work's stack is looked at, while it has a row in hand
}

// startLoop starts a writer goroutine, which takes the connection away from before.
func (w *writer) startLoop(before *face) {
	r := &tenure{w: w, before: before}
	go w.loop(r)
}

// start makes the goroutine ready to write.
func (r *tenure) start() {
	r.id = goroutine.ID()
	r.w.owner = goroutine.Current()
	if r.before == nil {
		r.w.face.belong(r.w.owner)
		return
	}
	r.w.takeAway(r.before)
	r.before = nil
}

// takeAway ends what work that hangs has of the connection. When it hangs in the driver, this waits until the driver is
// interrupted: nobody could write before that anyway.
func (w *writer) takeAway(old *face) {
	old.retire(w.interrupt)
	w.raw.RegisterUpdateHook(nil) // it may have been running for usedUp
	if !w.raw.AutoCommit() {
		_, _, _ = w.kept.abort.exec() // the next begin says why, if it fails
	}
	fresh, err := newFace(w.raw, w.fence, w.owner)
	if err != nil { // every begin says so
		w.noteTrouble(err)
		return
	}
	w.face = fresh
}

// hold notes what is being written, and what this goroutine has taken beyond that.
func (r *tenure) hold(items, rest []*item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items, r.rest = items, rest
}

// enter notes that it is about to run user code.
func (r *tenure) enter(it *item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = it
	if it.work.Limit <= 0 {
		return
	}
	r.entered, r.look = time.Now(), askAfter
	r.deadline = r.entered.Add(it.work.Limit)
	first := min(it.work.Limit, askAfter)
	if r.watch == nil {
		r.due = r.entered.Add(first)
		r.watch = time.AfterFunc(first, r.check)
	} else if r.deadline.Before(r.due) {
		r.due = r.deadline
		r.watch.Reset(it.work.Limit)
	}
}

// leave notes that user code has returned, or finds that it was too late.
func (r *tenure) leave() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = nil
	if r.replaced {
		return errReplaced
	}
	return nil
}

// end notes that no more work runs in this group.
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
	where := closesForEver(r.id)
	r.mu.Lock()
	defer r.mu.Unlock()
	if where != "" && !r.replaced && r.current == suspect && r.entered.Equal(since) {
		r.replace(suspect, panicked(suspect, where))
	}
}

// inspect sees to what the running work's time calls for. It returns the work when its stack is to be looked at, and
// when it began.
func (r *tenure) inspect() (suspect *item, since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watch == nil || r.replaced {
		return nil, since // the group ended meanwhile
	}
	if r.current == nil || r.current.work.Limit <= 0 {
		r.watch.Reset(time.Second) // between two limited items: have another look
	} else if left := time.Until(r.deadline); left > 0 {
		ran := time.Since(r.entered)
		if ran >= askAfter {
			r.w.ask(r.current, r.id, false)
		}
		r.watch.Reset(min(left, askAfter))
		if ran >= r.look && r.current.unit.face.hasRowInHand() {
			r.look = 2 * ran
			return r.current, r.entered
		}
	} else {
		r.replace(r.current, outstayed(r.current))
	}
	return nil, since
}

// outstayed is the answer to work that has used up its time.
func outstayed(it *item) error {
	return fmt.Errorf("%w: %s held the transaction for more than %v: work in a transaction must not wait for the outside",
		journal.ErrAbandoned, it.work.Name, it.work.Limit)
}

// gone runs when the goroutine ends. That is in order at shutdown and after replace; work that ended it
// (runtime.Goexit, as a test's FailNow does) is treated like work that never returned.
func (r *tenure) gone() {
	r.mu.Lock()
	if r.current != nil && !r.replaced {
		r.replace(r.current, outstayed(r.current))
	}
	replaced := r.replaced
	r.mu.Unlock()
	if replaced { // what database/sql has is this goroutine's to close: nobody else can while it hangs
		_ = r.before.close()
	}
}

// replace ends the tenure, and answers err to the work that hangs. r.mu is held, so that cannot return in between.
func (r *tenure) replace(hung *item, err error) {
	r.replaced = true
	r.current = nil
	if r.watch != nil {
		r.watch.Stop()
		r.watch = nil
	}
	rest := slices.DeleteFunc(slices.Concat(r.items, r.rest), func(it *item) bool { return it == hung })
	hung.reply(err)
	r.w.ask(hung, r.id, true) // before those that are innocent for certain come back
	r.w.requeue(rest)
	r.before = hung.unit.face
	r.w.startLoop(r.before)
}

// interrupt makes a statement that runs on the write connection return, if there is one. SQLite's own interrupt is
// reached through the driver only by running a statement with a context that is over.
func (w *writer) interrupt() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = w.kept.nothing.s.ExecContext(ctx, nil) // its own outcome does not matter
}
