package sqlite

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

// face stands between database/sql and the write connection: it is the driver of the *sql.Tx that work gets. It hears
// every error of every statement, keeps work from ending the transaction, and can be taken away from work that hangs
// without any lock of database/sql, which such work may hold (a sql.RawBytes in hand, a Valuer that does not return).
//
// The journal's own statements go past it. Misused, a face is replaced by another one on the same connection.
type face struct {
	raw   *sqlite3.SQLiteConn
	fence *fence  // nil until a writer has the connection
	db    *sql.DB // nil for the first, which is of the journal's pool
	conn  *sql.Conn
	tx    *sql.Tx // while a group is written; the writer's

	gone  atomic.Bool // nothing passes any more
	mu    sync.Mutex  // held while the driver runs for database/sql
	lent  bool        // a transaction is open that is not database/sql's to begin or end
	user  bool        // work of others than the journal is running
	asked bool        // that work has asked for the transaction
	aside bool        // no other work has had this transaction
	given bool        // some work has had it
	row   bool        // the last call gave a row
	spent bool        // a goroutine that was left behind has ended it, as far as database/sql knows
	owner uintptr     // the goroutine that runs work; 0 for a connection that has no writer
	heard heard
	open  *opened // the newest of the rows and statements that are not closed
}

// heard is what a piece of work did on its face, whatever it said of it.
type heard struct {
	lost  error // ended the transaction
	store error // the store's, or one that may be
	hand  error // the work meant to end the transaction
	other bool  // another goroutine than the writer's used the transaction
}

var (
	errOver   = errors.New("sqlite: the transaction of this work is over")
	errByHand = errors.New("sqlite: the transaction is the journal's: return an error to roll back, nothing to commit, " +
		"and end it in no other way")
	// errOther: a goroutine that earlier work left behind, or one of this work's own. Only a transaction that no other
	// work has had tells which: the work runs again, with such a one.
	errOther = errors.New("sqlite: the transaction is used by another goroutine than that of the work: the work runs again")
)

// renew replaces the face that work has misused, in the middle of a group.
func (w *writer) renew() error {
	old := w.face
	old.gone.Store(true)
	go func() { _ = old.close() }() // waits for the rows that are open as far as database/sql knows
	fresh, err := newFace(w.raw, w.fence, w.owner)
	if err != nil {
		return err
	}
	w.face = fresh
	return fresh.beginTx()
}

// isWriting reports whether a statement that writes has not been read to its end: no savepoint ends until then.
func (w *writer) isWriting() bool {
	_, _, err := w.kept.savepoint.exec()
	if err == nil {
		_, _, err = w.kept.release.exec()
	}
	return err != nil
}

// openFaces opens a pool of connections to dsn with a face each.
func openFaces(dsn string) *sql.DB { return sql.OpenDB(connector{dsn: dsn}) }

// connector opens connections with a face, or gives the one that it has.
type connector struct {
	dsn string
	has *face
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
	return &face{raw: raw.(*sqlite3.SQLiteConn)}, nil
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

// newFace makes a face for a connection that has no other.
func newFace(raw *sqlite3.SQLiteConn, fence *fence, owner uintptr) (*face, error) {
	f := &face{raw: raw, fence: fence, owner: owner}
	f.db = sql.OpenDB(connector{has: f})
	var err error
	if f.conn, err = f.db.Conn(context.Background()); err != nil {
		return nil, errors.Join(err, f.db.Close())
	}
	return f, nil
}

// close gives up what database/sql has. It may wait for work that hangs.
func (f *face) close() error {
	f.endTx()
	err := f.conn.Close()
	if f.db != nil {
		err = errors.Join(err, f.db.Close())
	}
	return err
}

// beginTx makes a *sql.Tx of the transaction that is open on the connection.
func (f *face) beginTx() (err error) {
	f.lend(true)
	f.tx, err = f.conn.BeginTx(context.Background(), nil)
	return err
}

// endTx makes the *sql.Tx useless.
func (f *face) endTx() {
	if f.tx != nil {
		_ = f.tx.Rollback() // of what database/sql has of it: the transaction goes on
		f.tx = nil
	}
	f.lend(false)
}

// belong notes which goroutine runs work.
func (f *face) belong(owner uintptr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owner = owner
}

func (f *face) lend(open bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lent, f.given, f.spent = open, false, false
}

// enter notes that work of module begins. aside says that no other work may have had its transaction. It reports
// false when that needs another face.
func (f *face) enter(module string, aside bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.spent || aside && f.given {
		return false
	}
	f.user, f.asked, f.row, f.aside, f.heard = true, false, false, aside, heard{}
	f.fence.enter(module)
	return true
}

// leave notes that u's work has ended, closes the rows that it left open, and returns what it did. used says that
// database/sql has a wrong idea of it all, and needs another face.
func (f *face) leave(u *unit) (h heard, used bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone.Load() {
		return h, true
	}
	f.user, u.over = false, true
	f.fence.leave()
	h = f.heard
	f.given = f.given || f.asked
	if !f.holdsRows() {
		return h, h.hand != nil
	}
	if h.lost == nil && h.hand == nil && u.w.isWriting() {
		h.hand = errors.New("sqlite: the rows of a statement that writes (INSERT … RETURNING) were left open: " +
			"read them to the end, or close them")
	}
	f.closeRows()
	return h, true
}

// retire takes the connection away, waiting for the driver only, and has statements that run return.
func (f *face) retire(interrupt func()) {
	f.gone.Store(true)
	for !f.mu.TryLock() {
		interrupt()
	}
	defer f.mu.Unlock()
	f.user = false
	f.fence.leave()
	f.closeRows()
	for f.open != nil {
		_ = f.open.close() // what is lost with it is undone
	}
}

// holdsRows reports whether rows are open. f.mu is held.
func (f *face) holdsRows() bool {
	for o := f.open; o != nil; o = o.older {
		if o.rows != nil {
			return true
		}
	}
	return false
}

// closeRows closes the rows that are open, in SQLite. f.mu is held.
func (f *face) closeRows() {
	for o := f.open; o != nil; {
		next := o.older
		if o.rows != nil {
			_ = o.close() // a statement that failed says so once more
		}
		o = next
	}
}

// enterDriver begins a call of the driver, which ends with f.mu.Unlock.
func (f *face) enterDriver() error {
	f.mu.Lock()
	if f.gone.Load() {
		f.mu.Unlock()
		return errOver
	}
	f.row = false
	if f.user && f.heard.lost != nil { // without a transaction, every statement would be a commit
		err := f.heard.lost
		f.mu.Unlock()
		return fmt.Errorf("%w: an earlier statement ended it: %w", errOver, err)
	}
	return nil
}

// enterStatement begins a call of the driver that may change something. Work has the transaction from asking for it
// to its return. The goroutine of work that has ended is the next work's, too: it is told by asking. Another one may
// be one that was left behind.
func (f *face) enterStatement() error {
	if err := f.enterDriver(); err != nil {
		return err
	}
	err := error(nil)
	switch others := f.byOthers(); {
	case others && !f.user, f.user && !f.asked:
		err = errOver
	case others && !f.aside:
		err = errOther
	default:
		return nil
	}
	f.mu.Unlock()
	return err
}

// byOthers reports whether the caller is another goroutine than that of the work, and notes it. f.mu is held.
func (f *face) byOthers() bool {
	if f.owner == 0 || goroutine.Current() == f.owner {
		return false
	}
	f.heard.other = true
	return true
}

// hear takes what a call of the driver returned. f.mu is held.
func (f *face) hear(err error) error {
	if err == nil || !f.user || err == io.EOF {
		return err
	}
	if refused := f.fence.refusal(); refused != nil {
		err = fmt.Errorf("%w: %w", refused, err)
		if errors.Is(refused, errByHand) && f.heard.hand == nil {
			f.heard.hand = refused
		}
	}
	if f.heard.store == nil && blame(err) != workFault {
		f.heard.store = err
	}
	if f.raw.AutoCommit() {
		f.heard.lost = err
	}
	return err
}

// QueryContext implements driver.QueryerContext.
func (f *face) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := f.enterStatement(); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	rows, err := f.raw.QueryContext(ctx, query, args)
	return f.rows(rows, err)
}

// ExecContext implements driver.ExecerContext.
func (f *face) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := f.enterStatement(); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	res, err := f.raw.ExecContext(ctx, query, args)
	return res, f.hear(err)
}

// PrepareContext implements driver.ConnPrepareContext.
func (f *face) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
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
func (f *face) Prepare(query string) (driver.Stmt, error) {
	return f.PrepareContext(context.Background(), query)
}

// BeginTx implements driver.ConnBeginTx.
func (f *face) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
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
func (f *face) IsValid() bool { return !f.gone.Load() }

// Begin implements driver.Conn.
func (f *face) Begin() (driver.Tx, error) {
	return f.BeginTx(context.Background(), driver.TxOptions{})
}

// Close implements driver.Conn. A connection that a writer has is closed by the writer.
func (f *face) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fence != nil {
		return nil
	}
	return f.raw.Close()
}

// lentTx is a transaction that is not database/sql's to end.
type lentTx struct{ f *face }

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
		return errOther
	}
	err := fmt.Errorf("%w: the work called Tx.%s", errByHand, how)
	if t.f.heard.hand == nil {
		t.f.heard.hand = err
	}
	return err
}
