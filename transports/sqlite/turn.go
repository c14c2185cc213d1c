package sqlite

import "database/sql"

// turn is the transaction as one run of work sees it.
type turn struct {
	c       *workConn
	face    *face
	tx      *sql.Tx
	aside   bool  // no other work may have had this *sql.Tx
	saved   bool  // the savepoint is open
	touched bool  // the work asked for the transaction
	over    bool  // the user's code has returned; under the face's mutex
	failed  error // fails the whole group; running the work alone shows the cause
}

// turn returns the turn of the next run of work. aside says that no other work may have used the transaction.
func (c *workConn) turn(aside bool) turn {
	return turn{c: c, face: c.face, tx: c.face.tx, aside: aside}
}

// enter records that work of module begins.
func (t *turn) enter(module string) error {
	if t.face.enter(module, t.aside) {
		return nil
	}
	if err := t.c.renew(); err != nil {
		return t.refuse(err)
	}
	t.face, t.tx = t.c.face, t.c.face.tx
	t.face.enter(module, t.aside)
	return nil
}

// Tx gives the transaction to the work, and opens the savepoint. After the work has returned or was cut off, Tx returns
// a transaction that has ended.
func (t *turn) Tx() *sql.Tx {
	t.face.mu.Lock()
	defer t.face.mu.Unlock()
	if t.over || t.face.gone.Load() {
		return t.c.over
	}
	if t.saved || t.face.heard.lost != nil {
		return t.tx
	}
	t.saved, t.touched, t.face.asked = true, true, true
	if err := t.own(t.c.savepoint); err != nil {
		t.failed = err
	}
	return t.tx
}

// own runs a statement of the journal while work may be running.
func (t *turn) own(s *stmt) error {
	defer func(inside bool) { t.c.fence.inside = inside }(t.c.fence.inside)
	t.c.fence.inside = false
	_, _, err := s.exec()
	return err
}

// leave records that the work has ended, and returns its effects. used says that database/sql needs another face.
func (t *turn) leave() (h heard, used bool) { return t.face.leave(t) }

// rollback undoes the changes of the work.
func (t *turn) rollback() error {
	if !t.saved {
		return nil
	}
	t.saved = false
	_, _, err := t.c.rollback.exec()
	if err == nil {
		_, _, err = t.c.release.exec()
	}
	return t.refuse(err)
}

// release makes the changes of the work part of the group.
func (t *turn) release() error {
	if !t.saved {
		return nil
	}
	t.saved = false
	_, _, err := t.c.release.exec()
	return t.refuse(err)
}

// refuse records an error of the store, which is not the work's fault.
func (t *turn) refuse(err error) error {
	if err != nil {
		t.failed = err
	}
	return err
}

// hasRow reports whether the last call returned a row, which the work may be scanning.
func (t *turn) hasRow() bool {
	if !t.face.mu.TryLock() {
		return false // the driver is running
	}
	defer t.face.mu.Unlock()
	return t.face.row
}
