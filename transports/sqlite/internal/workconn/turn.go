package workconn

import "database/sql"

// Turn is the transaction as one run of work sees it.
type Turn struct {
	c       *Conn
	face    *Face
	tx      *sql.Tx
	Aside   bool  // no other work may have had this *sql.Tx
	saved   bool  // the savepoint is open
	Touched bool  // the work asked for the transaction
	over    bool  // the user's code has returned; under the face's mutex
	Failed  error // fails the whole group; running the work alone shows the cause
}

// Turn returns the turn of the next run of work. aside says that no other work may have used the transaction.
func (c *Conn) Turn(aside bool) Turn {
	return Turn{c: c, face: c.face, tx: c.face.tx, Aside: aside}
}

// Enter records that work of module begins.
func (t *Turn) Enter(module string) error {
	if t.face.enter(module, t.Aside) {
		return nil
	}
	if err := t.c.Renew(); err != nil {
		return t.Refuse(err)
	}
	t.face, t.tx = t.c.face, t.c.face.tx
	t.face.enter(module, t.Aside)
	return nil
}

// Tx gives the transaction to the work, and opens the savepoint. After the work has returned or was cut off, Tx returns
// a transaction that has ended.
func (t *Turn) Tx() *sql.Tx {
	t.face.mu.Lock()
	defer t.face.mu.Unlock()
	if t.over || t.face.gone.Load() {
		return t.c.over
	}
	if t.saved || t.face.heard.Lost != nil {
		return t.tx
	}
	t.saved, t.Touched, t.face.asked = true, true, true
	if err := t.own(t.c.savepoint); err != nil {
		t.Failed = err
	}
	return t.tx
}

// own runs a statement of the journal while work may be running.
func (t *Turn) own(s *Stmt) error {
	defer func(inside bool) { t.c.fence.inside = inside }(t.c.fence.inside)
	t.c.fence.inside = false
	_, _, err := s.Exec()
	return err
}

// Leave records that the work has ended, and returns its effects. used says that database/sql needs another face.
func (t *Turn) Leave() (h Heard, used bool) { return t.face.leave(t) }

// Rollback undoes the changes of the work.
func (t *Turn) Rollback() error {
	if !t.saved {
		return nil
	}
	t.saved = false
	_, _, err := t.c.rollback.Exec()
	if err == nil {
		_, _, err = t.c.release.Exec()
	}
	return t.Refuse(err)
}

// Release makes the changes of the work part of the group.
func (t *Turn) Release() error {
	if !t.saved {
		return nil
	}
	t.saved = false
	_, _, err := t.c.release.Exec()
	return t.Refuse(err)
}

// Refuse records an error of the store, which is not the work's fault.
func (t *Turn) Refuse(err error) error {
	if err != nil {
		t.Failed = err
	}
	return err
}

// HasRow reports whether the last call returned a row, which the work may be scanning.
func (t *Turn) HasRow() bool {
	if !t.face.mu.TryLock() {
		return false // the driver is running
	}
	defer t.face.mu.Unlock()
	return t.face.row
}

// QueryRow runs a query of the journal, without a savepoint.
func (t *Turn) QueryRow(query string, args ...any) *sql.Row { return t.tx.QueryRow(query, args...) }

// Face returns the connection that the work uses.
func (t *Turn) Face() *Face { return t.face }
