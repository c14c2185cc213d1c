package payment

import (
	"database/sql"
	"testing"

	"github.com/troupebus/troupe/internal/dbtest"
)

// MustTx begins a transaction on a fresh database with the module's tables. It is undone when the test ends.
func MustTx(tb testing.TB) *sql.Tx {
	tb.Helper()
	return dbtest.MustTx(tb, Schema)
}

// MustExec runs a statement.
func MustExec(tb testing.TB, tx *sql.Tx, query string, args ...any) {
	tb.Helper()
	dbtest.MustExec(tb, tx, query, args...)
}
