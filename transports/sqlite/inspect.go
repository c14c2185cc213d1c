package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/mattn/go-sqlite3"

	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// InTransaction reports whether tx, a transaction of View, is still open. It is not after tx.Commit or tx.Rollback, nor
// after a statement COMMIT or ROLLBACK: then InTransaction begins one for the rollback of View, so ask once.
func InTransaction(ctx context.Context, tx *sql.Tx) (bool, error) {
	_, err := tx.ExecContext(ctx, "BEGIN") // SQLite refuses to begin a transaction within another transaction
	var refused sqlite3.Error
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case err == nil, errors.Is(err, sql.ErrTxDone):
		return false, nil
	case errors.As(err, &refused) && refused.Code == sqlite3.ErrError:
		return true, nil
	}
	return false, fmt.Errorf("find out whether the transaction is open: %w", row.Explain(err))
}

// MigratedModules returns the sorted names of the modules with tables in a journal. tx is a transaction of View.
func MigratedModules(ctx context.Context, tx *sql.Tx) (modules []string, err error) {
	const query = "SELECT DISTINCT module FROM migrations WHERE module <> 'journal' ORDER BY module"
	err = row.Each(ctx, tx, row.Statement{Text: query}, func(rows *sql.Rows) error {
		var module string
		err := rows.Scan(&module)
		modules = append(modules, module)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the modules with tables: %w", row.Explain(err))
	}
	return modules, nil
}
