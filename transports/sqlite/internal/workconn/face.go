package workconn

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/mattn/go-sqlite3"

	"github.com/troupebus/troupe/transports/sqlite/internal/goroutine"
)

// Face is a driver.Conn between database/sql and the write connection, behind the *sql.Tx of work. It records every
// error of every statement, and keeps work from ending the transaction. Hung work may hold locks of database/sql (a
// sql.RawBytes in hand, a Valuer that does not return): a face can be taken away without these locks.
//
// The journal's own statements bypass the face. After a misuse, another face on the same connection replaces it.
type Face struct {
	raw   *sqlite3.SQLiteConn
	fence *fence  // nil until the connection has a writer
	db    *sql.DB // nil for the first face, which belongs to the journal's pool
	conn  *sql.Conn
	tx    *sql.Tx // while a group is written; for the writer

	gone  atomic.Bool // every call fails from now on
	mu    sync.Mutex  // held while the driver runs for database/sql
	lent  bool        // a transaction is open that database/sql may not begin or end
	user  bool        // work of a module is running
	asked bool        // the work has asked for the transaction
	aside bool        // no other work has had this transaction
	given bool        // some work has had the transaction
	row   bool        // the last call returned a row
	spent bool        // an old goroutine has ended the transaction in the view of database/sql
	owner uintptr     // the goroutine that runs work; 0 without a writer
	heard Heard
	open  *opened // the newest open rows or statement
}

// Heard records the effects of a piece of work on its face, whether or not the work reports them.
type Heard struct {
	Lost  error // the error that ended the transaction
	Store error // an error of the store, or possibly of the store
	Hand  error // the work tried to end the transaction
	Other bool  // another goroutine than the writer's used the transaction
}

var (
	errOver   = errors.New("sqlite: the transaction of this work is over")
	errByHand = errors.New("sqlite: the transaction is the journal's: return an error to roll back, nothing to commit, " +
		"and end it in no other way")
	// ErrOther: another goroutine used the transaction, left over from earlier work, or started by this work. To tell,
	// the work runs again with a *sql.Tx that no other work has asked for.
	ErrOther = errors.New("sqlite: the transaction is used by another goroutine than that of the work: the work runs again")
)

// Open opens a pool of connections to dsn with a face each.
func Open(dsn string) *sql.DB { return sql.OpenDB(connector{dsn: dsn}) }

// connector opens connections with a face, or returns its only face.
type connector struct {
	dsn string
	has *Face
}

// Connect implements driver.Connector.
func (c connector) Connect(context.Context) (driver.Conn, error) {
	if c.has != nil {
		return c.has, nil
	}
	raw, err := c.Driver().Open(c.dsn)
	if err != nil {
		return nil, err
	}
	return &Face{raw: raw.(*sqlite3.SQLiteConn)}, nil
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

// newFace returns a new face for a connection.
func newFace(raw *sqlite3.SQLiteConn, fence *fence, owner uintptr) (*Face, error) {
	f := &Face{raw: raw, fence: fence, owner: owner}
	f.db = sql.OpenDB(connector{has: f})
	var err error
	if f.conn, err = f.db.Conn(context.Background()); err != nil {
		return nil, errors.Join(err, f.db.Close())
	}
	return f, nil
}

// Shut closes the connection of database/sql. It may wait for hung work.
func (f *Face) Shut() error {
	f.endTx()
	err := f.conn.Close()
	if f.db != nil {
		err = errors.Join(err, f.db.Close())
	}
	return err
}

// beginTx wraps the open transaction of the connection in a *sql.Tx.
func (f *Face) beginTx() (err error) {
	f.lend(true)
	f.tx, err = f.conn.BeginTx(context.Background(), nil)
	return err
}

// endTx makes the *sql.Tx unusable.
func (f *Face) endTx() {
	if f.tx != nil {
		_ = f.tx.Rollback() // only for database/sql: the transaction goes on
		f.tx = nil
	}
	f.lend(false)
}

// belong records the goroutine that runs work.
func (f *Face) belong(owner uintptr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owner = owner
}

func (f *Face) lend(open bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lent, f.given, f.spent = open, false, false
}

// enter records that work of module begins. aside says that no other work may have used the transaction. It reports
// false when the work needs another face.
func (f *Face) enter(module string, aside bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.spent || aside && f.given {
		return false
	}
	f.user, f.asked, f.row, f.aside, f.heard = true, false, false, aside, Heard{}
	f.fence.enter(module)
	return true
}

// leave records that the work of t has ended, closes open rows, and returns the effects of the work. used says that
// database/sql needs another face.
func (f *Face) leave(t *Turn) (h Heard, used bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone.Load() {
		return h, true
	}
	f.user, t.over = false, true
	f.fence.leave()
	h = f.heard
	f.given = f.given || f.asked
	if !f.holdsRows() {
		return h, h.Hand != nil
	}
	if h.Lost == nil && h.Hand == nil && t.c.isWriting() {
		h.Hand = errors.New("sqlite: the rows of a statement that writes (INSERT … RETURNING) were left open: " +
			"read them to the end, or close them")
	}
	f.closeRows()
	return h, true
}

// retire takes the connection away, and interrupts running statements. It waits only for the driver.
func (f *Face) retire(interrupt func()) {
	f.gone.Store(true)
	for !f.mu.TryLock() {
		interrupt()
	}
	defer f.mu.Unlock()
	f.user = false
	f.fence.leave()
	f.closeRows()
	for f.open != nil {
		_ = f.open.close() // lost changes are rolled back
	}
}

// holdsRows reports whether rows are open. f.mu is held.
func (f *Face) holdsRows() bool {
	for o := f.open; o != nil; o = o.older {
		if o.rows != nil {
			return true
		}
	}
	return false
}

// closeRows closes open rows in SQLite. f.mu is held.
func (f *Face) closeRows() {
	for o := f.open; o != nil; {
		next := o.older
		if o.rows != nil {
			_ = o.close() // a failed statement returns its error again
		}
		o = next
	}
}

// enterDriver begins a call of the driver. f.mu.Unlock ends the call.
func (f *Face) enterDriver() error {
	f.mu.Lock()
	if f.gone.Load() {
		f.mu.Unlock()
		return errOver
	}
	f.row = false
	if f.user && f.heard.Lost != nil { // without a transaction, SQLite would commit every statement at once
		err := f.heard.Lost
		f.mu.Unlock()
		return fmt.Errorf("%w: an earlier statement ended it: %w", errOver, err)
	}
	return nil
}

// enterStatement begins a call of the driver that may change data. Work may use the transaction from Tx until it
// returns. Successive works share a goroutine: asked tells them apart. Any other goroutine may be a leftover of earlier
// work.
func (f *Face) enterStatement() error {
	if err := f.enterDriver(); err != nil {
		return err
	}
	err := error(nil)
	switch others := f.byOthers(); {
	case others && !f.user, f.user && !f.asked:
		err = errOver
	case others && !f.aside:
		err = ErrOther
	default:
		return nil
	}
	f.mu.Unlock()
	return err
}

// byOthers reports, and records, whether the caller is another goroutine than the one that runs the work. f.mu is held.
func (f *Face) byOthers() bool {
	if f.owner == 0 || goroutine.Current() == f.owner {
		return false
	}
	f.heard.Other = true
	return true
}

// hear records the result of a call of the driver. f.mu is held.
func (f *Face) hear(err error) error {
	if err == nil || !f.user || err == io.EOF {
		return err
	}
	if refused := f.fence.refusal(); refused != nil {
		err = fmt.Errorf("%w: %w", refused, err)
		if errors.Is(refused, errByHand) && f.heard.Hand == nil {
			f.heard.Hand = refused
		}
	}
	if f.heard.Store == nil && Blame(err) != WorkFault {
		f.heard.Store = err
	}
	if f.raw.AutoCommit() {
		f.heard.Lost = err
	}
	return err
}

// QueryContext implements driver.QueryerContext.
func (f *Face) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := f.enterStatement(); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	rows, err := f.raw.QueryContext(ctx, query, args)
	return f.rows(rows, err)
}

// ExecContext implements driver.ExecerContext.
func (f *Face) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := f.enterStatement(); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	res, err := f.raw.ExecContext(ctx, query, args)
	return res, f.hear(err)
}

// PrepareContext implements driver.ConnPrepareContext.
func (f *Face) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := f.enterStatement(); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	s, err := f.raw.PrepareContext(ctx, query)
	if err != nil {
		return nil, f.hear(err)
	}
	fs := &faceStmt{SQLiteStmt: s.(*sqlite3.SQLiteStmt), face: f}
	fs.stmt = fs.SQLiteStmt
	f.track(&fs.opened)
	return fs, nil
}

// Prepare implements driver.Conn.
func (f *Face) Prepare(query string) (driver.Stmt, error) {
	return f.PrepareContext(context.Background(), query)
}

// BeginTx implements driver.ConnBeginTx.
func (f *Face) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if err := f.enterDriver(); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	if f.lent {
		return lentTx{f}, nil
	}
	tx, err := f.raw.BeginTx(ctx, opts)
	return tx, f.hear(err)
}

// IsValid implements driver.Validator.
func (f *Face) IsValid() bool { return !f.gone.Load() }

// Begin implements driver.Conn.
func (f *Face) Begin() (driver.Tx, error) {
	return f.BeginTx(context.Background(), driver.TxOptions{})
}

// Close implements driver.Conn. The writer closes its connection itself.
func (f *Face) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fence != nil {
		return nil
	}
	return f.raw.Close()
}

// lentTx is a transaction that database/sql may not end.
type lentTx struct{ f *Face }

// Commit implements driver.Tx.
func (t lentTx) Commit() error { return t.end("Commit") }

// Rollback implements driver.Tx.
func (t lentTx) Rollback() error { return t.end("Rollback") }

func (t lentTx) end(how string) error {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	others := t.f.byOthers()
	switch {
	case t.f.gone.Load():
		return nil
	case !t.f.user:
		t.f.spent = t.f.spent || others
		return nil
	case others && !t.f.aside:
		return ErrOther
	}
	err := fmt.Errorf("%w: the work called Tx.%s", errByHand, how)
	if t.f.heard.Hand == nil {
		t.f.heard.Hand = err
	}
	return err
}
