package sqlite

import (
	"database/sql"
	"sync/atomic"

	"github.com/troupebus/troupe/bus/journal"
)

// item is a piece of work in the queue.
type item struct {
	work    journal.Work
	run     func(*unit) error     // in a transaction; an error rolls back to the item's savepoint
	alone   func(*sql.Conn) error // instead of run: outside any transaction
	durable bool                  // answered when the commit is on disk, not when the commit is made
	state   atomic.Int32          // itemQueued, itemTaken, itemCancelled
	answer  chan error            // capacity 1; nil if no caller waits
	err     error                 // answer of run
	unit    *unit                 // of the latest run
	first   unit                  // of the first run

	asked  *item   // the work in the last question of ask; under the writer's mutex
	asking *family // the goroutines of asked
}

const (
	itemQueued int32 = iota
	itemTaken
	itemCancelled
	itemAsked // out of the queue until the question is answered
)

// take begins the item, unless the caller has taken it back.
func (it *item) take() bool { return it.state.CompareAndSwap(itemQueued, itemTaken) }

// giveBack undoes take: the caller may take the item back again.
func (it *item) giveBack() { it.state.CompareAndSwap(itemTaken, itemQueued) }

// begin creates the unit of another run. A goroutine left over from an earlier run has the old unit. aside says that no
// other work may have used the transaction.
func (it *item) begin(w *writer, r *tenure, aside bool) *unit {
	if it.unit == nil {
		it.unit = &it.first
	} else {
		it.unit = &unit{}
	}
	*it.unit = unit{w: w, tenure: r, it: it, aside: aside, face: w.face, tx: w.face.tx}
	return it.unit
}

// unit is the transaction as one run of an item sees it.
type unit struct {
	w        *writer
	tenure   *tenure
	it       *item
	face     *face
	tx       *sql.Tx
	aside    bool // no other work may have had this *sql.Tx
	saved    bool // the savepoint is open
	touched  bool // the work asked for the transaction
	over     bool // the user's code has returned; under the face's mutex
	appended []*journal.Event
	delayed  bool
	failed   error // fails the whole group; running the work alone shows the cause
	hand     error // forbidden use of the transaction by the work; the transaction is sound
}

func (it *item) reply(err error) {
	if it.answer != nil {
		it.answer <- err
	}
}

// user runs code of a module. It returns errReplaced when code took too long: then this goroutine may not touch
// anything. It returns errOther when the work must run again, with aside.
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
	h, used := u.face.leave(u) // waits for a statement of a goroutine that the work started
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
	if u.aside && !h.other { // the goroutine was of other work
		delete(u.w.aside, u.it.work.Name)
	}
	if again && u.failed == nil {
		return errOther
	}
	return nil
}

// Tx gives the transaction to the work, and opens the savepoint. After the work has returned or was cut off, Tx returns
// a transaction that has ended.
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

// own runs a statement of the journal while work may be running.
func (u *unit) own(s *stmt) error {
	defer func(inside bool) { u.w.fence.inside = inside }(u.w.fence.inside)
	u.w.fence.inside = false
	_, _, err := s.exec()
	return err
}

// rollback undoes the changes of the work.
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

// release makes the changes of the work part of the group. The journal writes its own rows after release: under a
// savepoint, SQLite keeps a copy of every changed page. The journal's rows need no copies, since a failure of theirs
// fails the whole group.
func (u *unit) release() error {
	if !u.saved {
		return nil
	}
	u.saved = false
	_, _, err := u.w.kept.release.exec()
	return u.refuse(err)
}
