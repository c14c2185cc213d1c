package sqlite

import (
	"context"
	"database/sql"
)

// OpenReaderWithoutLocks opens a journal as where nothing can be written beside it.
var OpenReaderWithoutLocks = openStill

// CountAll counts what can be counted, as the owner of the journal does.
func CountAll(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for more := true; more && err == nil; {
		more, err = countNext(ctx, conn, &recent{})
	}
	return err
}
