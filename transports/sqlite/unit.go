package sqlite

import (
	"database/sql"
	"fmt"
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
	unit    unit
}

const (
	itemQueued int32 = iota
	itemTaken
	itemCancelled
)

// unit is what an item's work sees of the transaction.
type unit struct {
	w        *writer
	reign    *reign
	it       *item
	tx       *sql.Tx
	saved    bool // the savepoint is open
	appended []*journal.Event
	delayed  bool
	failed   error // the store refused a statement of the journal's own: not the work's fault
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
	u.w.fence.enter(u.it.work.Module)
	code()
	if err := u.reign.leave(); err != nil {
		return err
	}
	u.w.fence.leave()
	return nil
}

// Tx gives the transaction to the work, and opens its savepoint. Work that was cut off gets a transaction that is over.
func (u *unit) Tx() *sql.Tx {
	u.reign.mu.Lock()
	defer u.reign.mu.Unlock()
	if !u.saved && !u.reign.deposed {
		u.saved = true
		if _, _, err := u.w.kept.savepoint.exec(); err != nil {
			u.failed = err
		}
	}
	return u.tx
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
	return u.endSavepoint(err)
}

// release makes what the work did part of the group. The journal's own rows come after it: a savepoint keeps a copy of
// every page that is changed under it, and theirs are needed in no case, since what fails for them fails the group.
func (u *unit) release() error {
	if !u.saved {
		return nil
	}
	u.saved = false
	_, _, err := u.w.kept.release.exec()
	return u.endSavepoint(err)
}

// endSavepoint explains a savepoint that is gone: so is the transaction that it was in.
func (u *unit) endSavepoint(err error) error {
	if err != nil && u.w.raw.AutoCommit() {
		err = fmt.Errorf("%s ended the transaction, which is the journal's (or the store gave it up): %w", u.it.work.Name, err)
	}
	return u.refuse(err)
}
