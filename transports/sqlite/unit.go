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
	unit    *unit                 // of its newest run
	first   unit                  // of its first

	asked  *item   // the work that it was last asked about, by ask; under the writer's mutex
	asking *family // the goroutines of that
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

// begin makes the unit of one more run, which a goroutine that an earlier run left behind does not have. aside says
// that no other work may have had its transaction.
func (it *item) begin(w *writer, r *tenure, aside bool) *unit {
	if it.unit == nil {
		it.unit = &it.first
	} else {
		it.unit = &unit{}
	}
	*it.unit = unit{w: w, tenure: r, it: it, aside: aside, face: w.face, tx: w.face.tx}
	return it.unit
}

// unit is what one run of an item's work sees of the transaction.
type unit struct {
	w        *writer
	tenure    *tenure
	it       *item
	face     *face
	tx       *sql.Tx
	aside    bool // no other work may have had the transaction
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

// user runs code that is not the journal's. It reports errReplaced when that took too long: then this goroutine may
// touch nothing any more. It reports errOther when the work is to run again aside.
func (u *unit) user(code func()) error {
	if !u.face.enter(u.it.work.Module, u.aside) {
		if u.failed = u.w.renew(); u.failed != nil {
			return nil
		}
		u.face, u.tx = u.w.face, u.w.face.tx
		u.face.enter(u.it.work.Module, u.aside)
	}
	u.tenure.enter(u.it)
	code()
	h, used := u.face.leave(u) // waits for a statement of a goroutine that the work leaves behind
	if err := u.tenure.leave(); err != nil {
		return err
	}
	switch {
	case h.store != nil:
		u.failed = h.store
	case h.lost != nil:
		u.failed = h.lost
	}
	if u.hand = h.hand; u.failed != nil {
		return nil
	}
	again := h.other && !u.aside
	if used || again {
		u.failed = u.w.renew()
	}
	if u.aside && !h.other { // it was a goroutine of other work, after all
		delete(u.w.aside, u.it.work.Name)
	}
	if again && u.failed == nil {
		return errOther
	}
	return nil
}

// Tx gives the transaction to the work, and opens its savepoint. Work that has returned or was cut off gets a
// transaction that is over.
func (u *unit) Tx() *sql.Tx {
	u.face.mu.Lock()
	defer u.face.mu.Unlock()
	if u.over || u.face.gone.Load() {
		return u.w.over
	}
	if u.saved || u.face.heard.lost != nil {
		return u.tx
	}
	u.saved, u.touched, u.face.asked = true, true, true
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
