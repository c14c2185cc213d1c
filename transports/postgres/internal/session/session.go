// Package session sets the settings that connections to PostgreSQL need on the server.
package session

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
)

// limits makes the server end a transaction of a client that is frozen or cut off, unless the limits of the server are
// stricter. The transaction would keep locks, and others would wait until TCP gives up: two hours by default.
const limits = `
SELECT set_config(name, '%[1]d', false) FROM pg_settings
WHERE name IN ('idle_in_transaction_session_timeout', 'lock_timeout') AND (setting = '0' OR setting::bigint > %[1]d)`

// durable makes commits wait for the disk, also where the database's settings differ.
const durable = `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`

// reading makes the server notice within 15 s that a reader's machine is gone: otherwise the server would hold the
// group's lock for hours. A crash of the server may lose the last positions, and their messages are then read again: so
// these commits need not wait for the disk.
const reading = `
SELECT set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '5', false),
	set_config('tcp_keepalives_count', '2', false), set_config('tcp_user_timeout', '15000', false),
	set_config('synchronous_commit', 'off', false)`

// Publisher sets up a connection of a publisher. timeout is the client's own deadline, and comes first.
func Publisher(ctx context.Context, conn *pgx.Conn, timeout time.Duration) error {
	return set(ctx, conn, durable, timeout)
}

// Reader sets up the connection of a reader. timeout is as in Publisher.
func Reader(ctx context.Context, conn *pgx.Conn, timeout time.Duration) error {
	return set(ctx, conn, reading, timeout)
}

// set runs query and limits in one round trip. When the server refuses one of them, set runs the other alone.
func set(ctx context.Context, conn *pgx.Conn, query string, timeout time.Duration) error {
	limit := fmt.Sprintf(limits, min(timeout.Milliseconds()+1, math.MaxInt32)) // 0 would be no limit
	if _, err := conn.Exec(ctx, query+";"+limit); err == nil {
		return nil
	}
	_, err := conn.Exec(ctx, query)
	_, failed := conn.Exec(ctx, limit)
	return errors.Join(err, failed)
}
