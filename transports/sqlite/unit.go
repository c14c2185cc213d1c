package sqlite

import (
	"database/sql"
	"sync/atomic"

	"github.com/troupebus/troupe/bus/journal"
)

// item is one piece of work in the queue.
type item struct {
	work    journal.Work
	run     func(*unit) error     // in a transaction; an error rolls back to the item's savepoint
	alone   func(*sql.Conn) error // instead of run: outside any transaction
	durable bool                  // answered when the commit is on disk, not when it is made
	state   atomic.Int32          // itemQueued, itemTaken, itemCancelled
	answer  chan error            // capacity 1; nil where nobody waits
	err     error                 // what run answered
	twice   bool                  // it failed at the commit of a group, and once more at one of its own
	unit    unit

	asked  *item  // the work that it was last asked about, by ask; under the writer's mutex
	asking uint64 // the goroutine of that
	cut    bool   // that was cut off
}

const (
	itemQueued int32 = iota
	itemTaken
	itemCancelled
	itemAsked // out of the queue, to come again when it has answered a question
)

// take begins it, unless its caller has taken it back.
func (it *item) take() bool { return it.state.CompareAndSwap(itemQueued, itemTaken) }

// giveBack undoes take: its caller may take it back again.
func (it *item) giveBack() { it.state.CompareAndSwap(itemTaken, itemQueued) }

// unit is what an item's work sees of the transaction.
type unit struct {
	w        *writer
	reign    *reign
	it       *item
	face     *face
	tx       *sql.Tx
	saved    bool // the savepoint is open
	touched  bool // the work asked for the transaction
	over     bool // the user's code has returned; under the face's mutex
	appended []*journal.Event
	delayed  bool
	failed   error // fails the whole group, for a reason that trying the work alone shows
	hand     error // the work did what it may not do to the transaction, which is sound
}

func (it *item) reply(err error) {
	if it.answer != nil {
		it.answer <- err
	}
}

// user runs code that is not the journal's. It reports errDeposed when that took too long: then this goroutine may
// touch nothing any more.
func (u *unit) user(code func()) error {
	u.reign.enter(u.it)
	u.face.enter(u.it.work.Module)
	code()
	if err := u.reign.leave(); err != nil {
		return err
	}
	h, used := u.face.leave(u)
	switch {
	case h.store != nil:
		u.failed = h.store
	case h.lost != nil:
		u.failed = h.lost
	}
	if u.hand = h.hand; !used || u.failed != nil {
		return nil
	}
	if err := u.w.renew(); err != nil {
		u.failed = err
	}
	return nil
}

// Tx gives the transaction to the work, and opens its savepoint. Work that was cut off gets a transaction that is over.
func (u *unit) Tx() *sql.Tx {
	u.face.mu.Lock()
	defer u.face.mu.Unlock()
	if u.saved || u.over || u.face.gone.Load() || u.face.heard.lost != nil {
		return u.tx
	}
	u.saved, u.touched = true, true
	if err := u.own(u.w.kept.savepoint); err != nil {
		u.failed = err
	}
	return u.tx
}

// own runs a statement of the journal's while work may be running.
func (u *unit) own(s *stmt) error {
	defer func(inside bool) { u.w.fence.inside = inside }(u.w.fence.inside)
	u.w.fence.inside = false
	_, _, err := s.exec()
	return err
}

// rollback undoes what the work did.
func (u *unit) rollback() error {
	if !u.saved {
		return nil
	}
	u.saved = false
	_, _, err := u.w.kept.rollback.exec()
	if err == nil {
		_, _, err = u.w.kept.release.exec()
	}
	return u.refuse(err)
}

// release makes what the work did part of the group. The journal's own rows come after it: a savepoint keeps a copy of
// every page that is changed under it, and theirs are needed in no case, since what fails for them fails the group.
func (u *unit) release() error {
	if !u.saved {
		return nil
	}
	u.saved = false
	_, _, err := u.w.kept.release.exec()
	return u.refuse(err)
}
