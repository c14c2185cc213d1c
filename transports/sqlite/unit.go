package sqlite

import (
	"database/sql"
	"sync/atomic"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/workconn"
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
	*it.unit = unit{w: w, tenure: r, it: it, turn: w.conn.Turn(aside)}
	return it.unit
}

// unit is the transaction as one run of an item sees it.
type unit struct {
	w        *writer
	tenure   *tenure
	it       *item
	turn     workconn.Turn
	appended []*journal.Event
	delayed  bool
	hand     error // forbidden use of the transaction by the work; the transaction is sound
}

func (it *item) reply(err error) {
	if it.answer != nil {
		it.answer <- err
	}
}

// user runs code of a module. The caller must return an error of user at once: the code took too long, and this
// goroutine may not touch anything; or the work must run again, with aside; or the store has failed.
func (u *unit) user(code func()) error {
	if err := u.turn.Enter(u.it.work.Module); err != nil {
		return err
	}
	u.tenure.enter(u.it)
	code()
	h, used := u.turn.Leave() // waits for a statement of a goroutine that the work started
	if err := u.tenure.leave(); err != nil {
		return err
	}
	switch {
	case h.Store != nil:
		u.turn.Failed = h.Store
	case h.Lost != nil:
		u.turn.Failed = h.Lost
	}
	if u.hand = h.Hand; u.turn.Failed != nil {
		return u.turn.Failed
	}
	again := h.Other && !u.turn.Aside
	if used || again {
		u.turn.Failed = u.w.conn.Renew()
	}
	if u.turn.Aside && !h.Other { // the goroutine was of other work
		delete(u.w.aside, u.it.work.Name)
	}
	if again && u.turn.Failed == nil {
		return workconn.ErrOther
	}
	return u.turn.Failed
}

// Tx gives the transaction to the work, and opens the savepoint. After the work has returned or was cut off, Tx returns
// a transaction that has ended.
func (u *unit) Tx() *sql.Tx { return u.turn.Tx() }

// queryRow runs a query of the journal, without a savepoint.
func (u *unit) queryRow(query string, args ...any) *sql.Row {
	return u.turn.QueryRow(query, args...)
}

// release makes the changes of the work part of the group. The journal writes its own rows after release: under a
// savepoint, SQLite keeps a copy of every changed page. The journal's rows need no copies, since a failure of theirs
// fails the whole group.
func (u *unit) release() error { return u.turn.Release() }

// rollback undoes the changes of the work.
func (u *unit) rollback() error { return u.turn.Rollback() }

// refuse records an error of the store, which is not the work's fault, and returns the error.
func (u *unit) refuse(err error) error { return u.turn.Refuse(err) }

// misuse returns the forbidden use of the transaction by the work, if any, and forgets it. The work may have returned
// no error.
func (u *unit) misuse() error {
	err := u.hand
	u.hand = nil
	return err
}

// fault returns err as an error of the work itself.
func (u *unit) fault(err error) error { return failed(u.it, err) }
