package row

import (
	"context"
	"database/sql"
)

// Begin begins a transaction on the writer's connection. Only its statements end with ctx. If the transaction did, too,
// database/sql would close the connection, which the writer still needs.
func Begin(ctx context.Context, c *sql.Conn) (*sql.Tx, error) {
	return c.BeginTx(context.WithoutCancel(ctx), nil)
}
