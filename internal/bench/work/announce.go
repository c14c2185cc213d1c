package work

import (
	"context"
	"fmt"
	"io"
	"net"
)

// Announce reports to the process of serve that the service of j is ready, with an address or "". It returns when the
// service must end, also when that process has ended.
func (j Job) Announce(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", j.Control)
	if err != nil {
		return fmt.Errorf("reach the process that started this worker: %w", err)
	}
	defer func() { _ = conn.Close() }() // no process reads any more
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := fmt.Fprintln(conn, address); err != nil {
		return fmt.Errorf("reach the process that started this worker: %w", err)
	}
	_, _ = io.Copy(io.Discard, conn) // the end of the connection ends the service, with or without an error
	return ctx.Err()
}
