package workconn

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/troupebus/troupe/transports/sqlite/internal/goroutine"
)

// Conn is the write connection, which work uses through a face. Only the running writer goroutine may use it.
type Conn struct {
	raw   *sqlite3.SQLiteConn
	fence *fence      // the authorizer of raw
	face  *Face       // the connection as work sees it
	owner uintptr     // the running goroutine
	over  *sql.Tx     // a transaction that has ended
	held  *time.Timer // of End

	savepoint, rollback, release *Stmt
	abort, nothing               *Stmt
	all                          []*Stmt
}

// New takes over conn, a connection of Open. report is Config.Fence.
func New(conn *sql.Conn, report func(module, table string)) (*Conn, error) {
	over, err := newOver()
	if err != nil {
		return nil, err
	}
	c := &Conn{over: over}
	err = conn.Raw(func(f any) error {
		c.face = f.(*Face)
		c.raw = c.face.raw
		c.fence = newFence(c.raw, report) // first: a new authorizer makes SQLite prepare every statement again
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.face.fence, c.face.conn = c.fence, conn
	return c, nil
}

// PrepareOwn prepares the connection's own statements.
func (c *Conn) PrepareOwn() error {
	return c.Prepare(map[**Stmt]string{
		&c.savepoint: "SAVEPOINT work",
		&c.rollback:  "ROLLBACK TO work",
		&c.release:   "RELEASE work",
		&c.abort:     "ROLLBACK",
		&c.nothing:   "SELECT 1 WHERE 0", // no row: it ends at once, and no interrupt outlasts it
	})
}

// Take makes the calling goroutine the owner of the connection. It ends the access of hung work, through before. If the
// work hangs in the driver, Take interrupts the driver and waits: before, no goroutine could write anyway.
func (c *Conn) Take(before *Face) error {
	c.owner = goroutine.Current()
	if before == nil {
		c.face.belong(c.owner)
		return nil
	}
	before.retire(c.interrupt)
	c.raw.RegisterUpdateHook(nil) // hung work may have left a hook
	if !c.raw.AutoCommit() {
		_, _, _ = c.abort.Exec() // on a failure, the next begin reports the cause
	}
	fresh, err := newFace(c.raw, c.fence, c.owner)
	if err == nil { // otherwise every begin reports the error
		c.face = fresh
	}
	return err
}

// interrupt interrupts the running statement on the write connection, if any. The driver calls SQLite's interrupt only
// for a statement with a context that has ended.
func (c *Conn) interrupt() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = c.nothing.s.ExecContext(ctx, nil) // only the interrupt matters
}

// Lend wraps the open transaction in the *sql.Tx of work.
func (c *Conn) Lend() error { return c.face.beginTx() }

// Undo ends the transaction, unless SQLite has already ended it. The next begin reports a failure.
func (c *Conn) Undo() {
	c.End()
	if !c.raw.AutoCommit() {
		_, _, _ = c.abort.Exec()
	}
}

// heldFor is the time that the writer waits for a goroutine with the locks of a *sql.Tx.
const heldFor = time.Second

// End makes the *sql.Tx of a group unusable. A leftover goroutine may be inside a call of the *sql.Tx and keep the
// locks for any time, as with a Valuer that does not return: then End takes the connection away from the goroutine.
func (c *Conn) End() {
	if !c.face.given { // no work has the transaction
		c.face.endTx()
		return
	}
	old, ended := c.face, make(chan struct{})
	go func() {
		old.endTx()
		close(ended)
	}()
	if c.held == nil {
		c.held = time.NewTimer(heldFor)
	} else {
		c.held.Reset(heldFor)
	}
	select {
	case <-ended:
		c.held.Stop()
		return
	case <-c.held.C:
	}
	old.gone.Store(true)
	go func() {
		<-ended
		_ = old.Shut()
	}()
	if fresh, err := newFace(c.raw, c.fence, c.owner); err == nil { // otherwise every begin reports the error
		c.face = fresh
	}
}

// Renew replaces a misused face in the middle of a group.
func (c *Conn) Renew() error {
	old := c.face
	old.gone.Store(true)
	go func() { _ = old.Shut() }() // waits for rows that are open in the view of database/sql
	fresh, err := newFace(c.raw, c.fence, c.owner)
	if err != nil {
		return err
	}
	c.face = fresh
	return fresh.beginTx()
}

// isWriting reports whether a statement that writes has unread rows: then no savepoint can end.
func (c *Conn) isWriting() bool {
	_, _, err := c.savepoint.Exec()
	if err == nil {
		_, _, err = c.release.Exec()
	}
	return err != nil
}

// Close closes the statements and the connection. SQLite keeps the connection and its log open until all statements are
// closed.
func (c *Conn) Close() error {
	var errs []error
	for _, s := range c.all {
		errs = append(errs, s.s.Close())
	}
	return errors.Join(errors.Join(errs...), c.face.Shut(), c.raw.Close())
}

// newOver returns a transaction that has ended.
func newOver() (*sql.Tx, error) {
	f, err := newFace(nil, &fence{}, 0)
	if err != nil {
		return nil, err
	}
	err = f.beginTx()
	tx := f.tx
	return tx, errors.Join(err, f.Shut())
}

// SQL returns the connection for statements outside of a group.
func (c *Conn) SQL() *sql.Conn { return c.face.conn }

// OnUpdate has hook called for every changed row, or no longer if hook is nil.
func (c *Conn) OnUpdate(hook func(op int, db, table string, rowid int64)) {
	c.raw.RegisterUpdateHook(hook)
}
