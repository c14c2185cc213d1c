package row

import (
	"context"
	"database/sql"
)

// Begin begins a transaction on the writer's connection. Statements in it may end with ctx, the transaction does not:
// database/sql would throw the connection away, which the writer goes on with.
func Begin(ctx context.Context, c *sql.Conn) (*sql.Tx, error) {
	return c.BeginTx(context.WithoutCancel(ctx), nil)
}
