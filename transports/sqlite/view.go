package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"

	"github.com/mattn/go-sqlite3"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// View implements journal.Journal.
func (j *Journal) View(ctx context.Context, run func(*sql.Tx) error) error {
	if err := j.sync.health(); err != nil { // the files may be another journal's
		return err
	}
	if err := view(ctx, j.views, run); err != nil {
		return err
	}
	return j.sync.wait(ctx) // what it saw may be a moment too new to be told
}

func view(ctx context.Context, db *sql.DB, run func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return row.Explain(err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return run(tx)
}

// openViews opens the connections of views. There is no limit to them: a View inside a View that waited for the outer
// one would wait for ever.
func openViews(path string) *sql.DB {
	db := sql.OpenDB(viewConnector{readDSN(path, "rw")})
	db.SetMaxIdleConns(4)
	return db
}

// viewConnector opens connections that may look only, whatever a view makes of its own.
type viewConnector struct{ dsn string }

// Connect implements driver.Connector.
func (c viewConnector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.Driver().Open(c.dsn)
	if err != nil {
		return nil, err
	}
	conn.(*sqlite3.SQLiteConn).RegisterAuthorizer(allowView)
	return conn, nil
}

// Driver implements driver.Connector.
func (c viewConnector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

// allowView refuses what would outlast the view on its connection.
func allowView(op int, first, second, _ string) int {
	switch {
	case op == sqlite3.SQLITE_ATTACH, op == sqlite3.SQLITE_DETACH,
		op == sqlite3.SQLITE_PRAGMA && changesConnection(first, second):
		return sqlite3.SQLITE_DENY
	default:
		return sqlite3.SQLITE_OK
	}
}
