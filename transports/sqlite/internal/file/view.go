package file

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"

	"github.com/mattn/go-sqlite3"
)

// connector opens connections to dsn.
type connector struct{ dsn string }

// Connect implements driver.Connector.
func (c connector) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(c.dsn) }

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

// actConnector opens connections that write beside the owner.
type actConnector struct {
	connector
	keepLog bool // leave the log there when the last connection is closed
}

// Connect implements driver.Connector.
func (c actConnector) Connect(ctx context.Context) (driver.Conn, error) {
	raw, err := c.connector.Connect(ctx)
	if err != nil || !c.keepLog {
		return raw, err
	}
	if err := raw.(*sqlite3.SQLiteConn).SetFileControlInt("main", sqlite3.SQLITE_FCNTL_PERSIST_WAL, 1); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return raw, nil
}

// viewConnector opens connections that can only read, with any statement of a view.
type viewConnector struct{ connector }

// Connect implements driver.Connector.
func (c viewConnector) Connect(ctx context.Context) (driver.Conn, error) {
	raw, err := c.connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn := &viewConn{SQLiteConn: raw.(*sqlite3.SQLiteConn), open: map[*viewRows]bool{}}
	conn.RegisterAuthorizer(conn.allow)
	return conn, nil
}

// viewConn is the connection of a view. Only database/sql begins and ends the transaction: a view that did so in SQL
// would see the journal at two instants.
type viewConn struct {
	*sqlite3.SQLiteConn
	own     bool  // database/sql begins or ends the transaction
	refused error // the refusal of the statement that just failed

	mu   sync.Mutex
	open map[*viewRows]bool
}

var errByHand = errors.New("sqlite: the transaction belongs to the view, and begins and ends with it: leave the statement out")

// allow answers SQLite. It refuses statements that end the transaction, or whose effect would outlast the view on the
// connection.
func (c *viewConn) allow(op int, first, second, _ string) int {
	switch {
	case op == sqlite3.SQLITE_TRANSACTION && !c.own:
		c.refused = fmt.Errorf("%w: %s", errByHand, first)
	case op == sqlite3.SQLITE_ATTACH, op == sqlite3.SQLITE_DETACH,
		op == sqlite3.SQLITE_PRAGMA && ChangesConnection(first, second):
	default:
		return sqlite3.SQLITE_OK
	}
	return sqlite3.SQLITE_DENY
}

// explain adds the refusal to err.
func (c *viewConn) explain(err error) error {
	refused := c.refused
	if c.refused = nil; err == nil || refused == nil {
		return err
	}
	return fmt.Errorf("%w: %w", refused, err)
}

// ExecContext implements driver.ExecerContext.
func (c *viewConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	res, err := c.SQLiteConn.ExecContext(ctx, query, args)
	return res, c.explain(err)
}

// QueryContext implements driver.QueryerContext.
func (c *viewConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.keep(c.SQLiteConn.QueryContext(ctx, query, args))
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *viewConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	stmt, err := c.SQLiteConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, c.explain(err)
	}
	return &viewStmt{stmt.(*sqlite3.SQLiteStmt), c}, nil
}

// viewStmt is a prepared statement of a view.
type viewStmt struct {
	*sqlite3.SQLiteStmt
	c *viewConn
}

// QueryContext implements driver.StmtQueryContext.
func (s *viewStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.c.keep(s.SQLiteStmt.QueryContext(ctx, args))
}

// viewRows are the rows of a query of a view.
type viewRows struct {
	*sqlite3.SQLiteRows
	c *viewConn
}

// Close implements driver.Rows.
func (r *viewRows) Close() error {
	r.c.mu.Lock()
	delete(r.c.open, r)
	r.c.mu.Unlock()
	return r.SQLiteRows.Close()
}

// keep records rows until they are closed.
func (c *viewConn) keep(rows driver.Rows, err error) (driver.Rows, error) {
	if err != nil {
		return nil, c.explain(err)
	}
	kept := &viewRows{rows.(*sqlite3.SQLiteRows), c}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[kept] = true
	return kept, nil
}

// abandon closes the connection without database/sql, which may hold locks for ever.
func (c *viewConn) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for rows := range c.open {
		_ = rows.SQLiteRows.Close() // a snapshot has nothing to lose
	}
	c.own = true
	_, _ = c.SQLiteConn.ExecContext(context.Background(), "ROLLBACK", nil) // Close leaves it while statements are open
	_ = c.SQLiteConn.Close()
}

// BeginTx implements driver.ConnBeginTx.
func (c *viewConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c.own = true
	defer func() { c.own = false }()
	if conn, ok := ctx.Value(viewKey{}).(**viewConn); ok {
		*conn = c
	}
	tx, err := c.SQLiteConn.BeginTx(ctx, opts)
	return viewTx{tx, c}, err
}

// viewTx is the transaction of a view.
type viewTx struct {
	tx driver.Tx
	c  *viewConn
}

// Commit implements driver.Tx.
func (t viewTx) Commit() error { return t.end(t.tx.Commit) }

// Rollback implements driver.Tx.
func (t viewTx) Rollback() error { return t.end(t.tx.Rollback) }

func (t viewTx) end(how func() error) error {
	t.c.own = true
	defer func() { t.c.own = false }()
	return how()
}
