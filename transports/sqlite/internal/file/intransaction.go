package file

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
