package file

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/schema"
)

// OpenExisting opens the file at path, an absolute path, and returns an error unless the file is a journal with the
// schema of this program.
func OpenExisting(ctx context.Context, path, dsn string) (*sql.DB, error) {
	return openExisting(ctx, path, connector{dsn})
}

// OpenForActs is OpenExisting for connections that write beside the owner. The log of a killed owner stays beside the
// database.
func OpenForActs(ctx context.Context, path string) (*sql.DB, error) {
	return openExisting(ctx, path, actConnector{connector{ActDSN(path)}, HasLog(path)})
}

// OpenForViews is OpenExisting for connections that only View uses.
func OpenForViews(ctx context.Context, path, dsn string) (*sql.DB, error) {
	return openExisting(ctx, path, viewConnector{connector{dsn}})
}

func openExisting(ctx context.Context, path string, c driver.Connector) (*sql.DB, error) {
	fail := func(err error) error { return fmt.Errorf("open %s: %w", path, row.Explain(err)) }
	if err := MustExist(path); err != nil {
		return nil, fail(err)
	}
	db := sql.OpenDB(c)
	if err := schema.Check(ctx, db); err != nil {
		return nil, errors.Join(fail(err), db.Close())
	}
	return db, nil
}

// MustExist refuses a path without a journal.
func MustExist(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: there is no journal yet: check the path, or let the program run on it first", fs.ErrNotExist)
	}
	return CheckFile(path)
}

// OpenReaders opens the connections for the journal's own reads.
func OpenReaders(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", ReadDSN(path, "rw"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	return db, nil
}

// OpenViews opens the connections of views, without a limit: with a limit, a View inside a View could wait for the
// outer one for ever.
func OpenViews(path string) *sql.DB {
	db := sql.OpenDB(viewConnector{connector{ReadDSN(path, "rw")}})
	db.SetMaxIdleConns(4)
	return db
}

// Transact runs do in a transaction.
func Transact(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // a no-op after Commit
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// pragmasWithArgument are the pragmas whose argument selects an object and changes nothing.
var pragmasWithArgument = map[string]bool{
	"table_info": true, "table_xinfo": true, "table_list": true, "index_list": true, "index_info": true, "index_xinfo": true,
	"foreign_key_list": true, "foreign_key_check": true, "integrity_check": true, "quick_check": true,
}

// pragmasThatAct are the pragmas that change something even without an argument.
var pragmasThatAct = map[string]bool{
	"incremental_vacuum": true, "optimize": true, "shrink_memory": true, "wal_checkpoint": true,
}

// ChangesConnection reports whether a pragma changes something.
func ChangesConnection(name, argument string) bool {
	name = strings.ToLower(name)
	if argument != "" {
		return !pragmasWithArgument[name]
	}
	return pragmasThatAct[name]
}
