package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/troupebus/troupe/bus/journal"
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
		return explain(err)
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

// Between two tries of a journal that cannot write, to find out whether it can again.
const (
	firstTryPause   = 100 * time.Millisecond
	longestTryPause = 2 * time.Second
)

// Writable implements journal.Journal.
func (j *Journal) Writable(ctx context.Context) error {
	for pause := firstTryPause; j.writer.health.refuses() || j.sync.health() != nil; pause = min(2*pause, longestTryPause) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		err := j.writer.submit(ctx, &item{work: journal.Work{Name: "journal"}, run: func(u *unit) error {
			_, _, err := u.w.kept.trial.exec()
			return u.refuse(err)
		}})
		if err != nil && !errors.Is(err, journal.ErrUnavailable) && !errors.Is(err, journal.ErrFailed) {
			return err
		}
	}
	return nil
}
