package commit

import (
	"database/sql"
	"sync/atomic"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/workconn"
)

// Item is a piece of work in the queue.
type Item struct {
	Work    journal.Work
	Run     func(*Unit) error     // in a transaction; an error rolls back to the item's savepoint
	Alone   func(*sql.Conn) error // instead of Run: outside any transaction
	Durable bool                  // answered when the commit is on disk, not when the commit is made
	Answer  chan error            // capacity 1; nil if no caller waits

	state atomic.Int32 // itemQueued, itemTaken, itemCancelled
	err   error        // answer of Run
	unit  *Unit        // of the latest run
	first Unit         // of the first run

	caller uintptr // the goroutine that waits for the answer; 0 if none waits
	asking *family // of the last question of ask
}

const (
	itemQueued int32 = iota
	itemTaken
	itemCancelled
	itemAsked // out of the queue until the question is answered
)

// take begins the item, unless the caller has taken it back.
func (it *Item) take() bool { return it.state.CompareAndSwap(itemQueued, itemTaken) }

// giveBack undoes take: the caller may take the item back again.
func (it *Item) giveBack() { it.state.CompareAndSwap(itemTaken, itemQueued) }

// begin creates the unit of another run. A goroutine left over from an earlier run has the old unit. aside says that no
// other work may have used the transaction.
func (it *Item) begin(w *Writer, r *tenure, aside bool) *Unit {
	if it.unit == nil {
		it.unit = &it.first
	} else {
		it.unit = &Unit{}
	}
	*it.unit = Unit{w: w, tenure: r, it: it, turn: w.conn.Turn(aside)}
	return it.unit
}

// Unit is the transaction as one run of an item sees it.
type Unit struct {
	w        *Writer
	tenure   *tenure
	it       *Item
	turn     workconn.Turn
	appended []*journal.Event
	delayed  bool
	hand     error // forbidden use of the transaction by the work; the transaction is sound
}

func (it *Item) reply(err error) {
	if it.Answer != nil {
		it.Answer <- err
	}
}

// Call runs code of a module. The caller must return an error of Call at once: the code took too long, and this
// goroutine may not touch anything; or the work must run again, with aside; or the store has failed.
func (u *Unit) Call(code func()) error {
	if err := u.turn.Enter(u.it.Work.Module); err != nil {
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
		delete(u.w.aside, u.it.Work.Name)
	}
	if again && u.turn.Failed == nil {
		return workconn.ErrOther
	}
	return u.turn.Failed
}

// Tx gives the transaction to the work, and opens the savepoint. After the work has returned or was cut off, Tx returns
// a transaction that has ended.
func (u *Unit) Tx() *sql.Tx { return u.turn.Tx() }

// QueryRow runs a query of the journal, without a savepoint.
func (u *Unit) QueryRow(query string, args ...any) *sql.Row { return u.turn.QueryRow(query, args...) }

// Release makes the changes of the work part of the group. The journal writes its own rows after Release: under a
// savepoint, SQLite keeps a copy of every changed page. The journal's rows need no copies, since a failure of theirs
// fails the whole group.
func (u *Unit) Release() error { return u.turn.Release() }

// Rollback undoes the changes of the work.
func (u *Unit) Rollback() error { return u.turn.Rollback() }

// Refuse records an error of the store, which is not the work's fault, and returns the error.
func (u *Unit) Refuse(err error) error { return u.turn.Refuse(err) }

// Misuse returns the forbidden use of the transaction by the work, if any, and forgets it. The work may have returned
// no error.
func (u *Unit) Misuse() error {
	err := u.hand
	u.hand = nil
	return err
}

// Fault returns err as an error of the work itself.
func (u *Unit) Fault(err error) error { return failed(u.it, err) }

// Item returns the item that runs.
func (u *Unit) Item() *Item { return u.it }

// Appended returns the events that this run has appended.
func (u *Unit) Appended() []*journal.Event { return u.appended }
