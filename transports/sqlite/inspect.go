package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// InTransaction reports whether tx, a transaction of View, is still open. It is not after tx.Commit or tx.Rollback. The
// view refuses a statement COMMIT or ROLLBACK.
func InTransaction(ctx context.Context, tx *sql.Tx) (bool, error) {
	_, err := tx.ExecContext(ctx, "SELECT 1") // a view refuses to end its transaction in SQL
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, sql.ErrTxDone):
		return false, nil
	case err == nil:
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
