package books

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mattn/go-sqlite3"

	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/notification"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/payment"
	"github.com/troupebus/troupe/domain/shipping"
)

// database holds the tables of all modules. While module is set, it lets nobody touch the tables of another one. For one
// goroutine at a time.
type database struct {
	*sql.DB
	module string
}

// MustOpen makes a fresh database, which lasts as long as the test.
func MustOpen(tb testing.TB) *database {
	tb.Helper()
	d := &database{}
	path := "file:" + filepath.Join(tb.TempDir(), "shop.db") + "?_txlock=immediate&_synchronous=OFF&_journal_mode=WAL"
	d.DB = sql.OpenDB(connector{path, &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
		c.RegisterAuthorizer(d.allow)
		return nil
	}}})
	d.SetMaxOpenConns(1)
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	for _, schema := range []embed.FS{order.Schema, inventory.Schema, payment.Schema, shipping.Schema, notification.Schema} {
		names, err := fs.Glob(schema, "schema/*.sql")
		if err != nil || len(names) == 0 {
			tb.Fatalf("schema: %v, %v", names, err)
		}
		for _, name := range names {
			text, err := schema.ReadFile(name)
			if err != nil {
				tb.Fatal(err)
			}
			if _, err := d.ExecContext(tb.Context(), string(text)); err != nil {
				tb.Fatalf("%s: %v", name, err)
			}
		}
	}
	return d
}

func (d *database) allow(op int, table, _, _ string) int {
	switch op {
	case sqlite3.SQLITE_READ, sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE:
		if d.module != "" && !strings.HasPrefix(table, d.module+"_") && !strings.HasPrefix(table, "sqlite_") {
			return sqlite3.SQLITE_DENY
		}
	}
	return sqlite3.SQLITE_OK
}

// do runs fn as one module, or as nobody, in a transaction of its own.
func (d *database) do(ctx context.Context, module string, fn func(tx *sql.Tx) error) error {
	d.module = module
	defer func() { d.module = "" }()
	tx, err := d.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		_ = tx.Rollback() // fn's error says what happened
		return err
	}
	return tx.Commit()
}

// MustVerify audits the shop.
func (d *database) MustVerify(tb testing.TB, settled bool) Report {
	tb.Helper()
	var r Report
	err := d.do(tb.Context(), "", func(tx *sql.Tx) (err error) {
		r, err = Verify(tb.Context(), tx, settled)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

type connector struct {
	path   string
	driver *sqlite3.SQLiteDriver
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.path) }
func (c connector) Driver() driver.Driver                        { return c.driver }
