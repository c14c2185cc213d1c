// Package dbtest gives tests of the modules' stores a database. It is for tests only.
package dbtest

import (
	"database/sql"
	"io/fs"
	"path/filepath"
	"testing"

	_ "github.com/mattn/go-sqlite3" // the driver
)

// MustTx begins a transaction on a fresh database with the tables of schema, numbered files below schema/. It is undone
// when the test ends.
func MustTx(tb testing.TB, schema fs.FS) *sql.Tx {
	tb.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(tb.TempDir(), "module.db")+"?_txlock=immediate&_synchronous=OFF")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	tx, err := db.BeginTx(tb.Context(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	names, err := fs.Glob(schema, "schema/*.sql")
	if err != nil || len(names) == 0 {
		tb.Fatalf("schema: %v, %v", names, err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(schema, name)
		if err != nil {
			tb.Fatal(err)
		}
		MustExec(tb, tx, string(text))
	}
	return tx
}

// MustExec runs a statement.
func MustExec(tb testing.TB, tx *sql.Tx, query string, args ...any) {
	tb.Helper()
	if _, err := tx.ExecContext(tb.Context(), query, args...); err != nil {
		tb.Fatal(err)
	}
}
