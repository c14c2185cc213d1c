package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/troupebus/troupe/transports/sqlite/internal/goroutine"
)

// workConn is the write connection, which work uses through a face. Only the running writer goroutine may use it.
type workConn struct {
	raw   *sqlite3.SQLiteConn
	fence *fence      // the authorizer of raw
	face  *face       // the connection as work sees it
	owner uintptr     // the running goroutine
	over  *sql.Tx     // a transaction that has ended
	held  *time.Timer // of end

	savepoint, rollback, release *stmt
	abort, nothing               *stmt
	all                          []*stmt
}

// newWorkConn takes over conn, a connection of openFaces. report is Config.Fence.
func newWorkConn(conn *sql.Conn, report func(module, table string)) (*workConn, error) {
	over, err := newOver()
	if err != nil {
		return nil, err
	}
	c := &workConn{over: over}
	err = conn.Raw(func(f any) error {
		c.face = f.(*face)
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

// prepareOwn prepares the connection's own statements.
func (c *workConn) prepareOwn() error {
	return c.prepare(
		query{&c.savepoint, "SAVEPOINT work"},
		query{&c.rollback, "ROLLBACK TO work"},
		query{&c.release, "RELEASE work"},
		query{&c.abort, "ROLLBACK"},
		query{&c.nothing, "SELECT 1 WHERE 0"}, // no row: it ends at once, and no interrupt outlasts it
	)
}

// take makes the calling goroutine the owner of the connection. It ends the access of hung work, through before. If the
// work hangs in the driver, take interrupts the driver and waits: before, no goroutine could write anyway.
func (c *workConn) take(before *face) error {
	c.owner = goroutine.Current()
	if before == nil {
		c.face.belong(c.owner)
		return nil
	}
	before.retire(c.interrupt)
	c.raw.RegisterUpdateHook(nil) // hung work may have left a hook
	if !c.raw.AutoCommit() {
		_, _, _ = c.abort.exec() // on a failure, the next begin reports the cause
	}
	fresh, err := newFace(c.raw, c.fence, c.owner)
	if err == nil { // otherwise every begin reports the error
		c.face = fresh
	}
	return err
}

// interrupt interrupts the running statement on the write connection, if any. The driver calls SQLite's interrupt only
// for a statement with a context that has ended.
func (c *workConn) interrupt() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = c.nothing.s.ExecContext(ctx, nil) // only the interrupt matters
}

// lend wraps the open transaction in the *sql.Tx of work.
func (c *workConn) lend() error { return c.face.beginTx() }

// undo ends the transaction, unless SQLite has already ended it. The next begin reports a failure.
func (c *workConn) undo() {
	c.end()
	if !c.raw.AutoCommit() {
		_, _, _ = c.abort.exec()
	}
}

// heldFor is the time that the writer waits for a goroutine with the locks of a *sql.Tx.
const heldFor = time.Second

// end makes the *sql.Tx of a group unusable. A leftover goroutine may be inside a call of the *sql.Tx and keep the
// locks for any time, as with a Valuer that does not return: then end takes the connection away from the goroutine.
func (c *workConn) end() {
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
		_ = old.close()
	}()
	if fresh, err := newFace(c.raw, c.fence, c.owner); err == nil { // otherwise every begin reports the error
		c.face = fresh
	}
}

// renew replaces a misused face in the middle of a group.
func (c *workConn) renew() error {
	old := c.face
	old.gone.Store(true)
	go func() { _ = old.close() }() // waits for rows that are open in the view of database/sql
	fresh, err := newFace(c.raw, c.fence, c.owner)
	if err != nil {
		return err
	}
	c.face = fresh
	return fresh.beginTx()
}

// isWriting reports whether a statement that writes has unread rows: then no savepoint can end.
func (c *workConn) isWriting() bool {
	_, _, err := c.savepoint.exec()
	if err == nil {
		_, _, err = c.release.exec()
	}
	return err != nil
}

// close closes the statements and the connection. SQLite keeps the connection and its log open until all statements are
// closed.
func (c *workConn) close() error {
	var errs []error
	for _, s := range c.all {
		errs = append(errs, s.s.Close())
	}
	return errors.Join(errors.Join(errs...), c.face.close(), c.raw.Close())
}

// newOver returns a transaction that has ended.
func newOver() (*sql.Tx, error) {
	f, err := newFace(nil, &fence{}, 0)
	if err != nil {
		return nil, err
	}
	err = f.beginTx()
	tx := f.tx
	return tx, errors.Join(err, f.close())
}
