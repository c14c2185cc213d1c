package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/troupebus/troupe/internal/pause"
)

// tryFor is how long Subscribe waits for another reader or an open transaction, before it returns an error.
const tryFor = 3 * time.Second

// holder is the oldest open transaction. Of a transaction of another role, the server may show only the id.
type holder struct {
	id                           uint64
	pid                          int
	database, application, since string
	prepared                     string // name of a prepared transaction
}

const selectHolder = `
SELECT oldest::text, coalesce(pid, 0), coalesce(datname, p.database, ''), coalesce(application_name, ''),
	coalesce(coalesce(xact_start, p.prepared)::timestamptz(0)::text, ''), coalesce(gid, '')
FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS oldest) now
	LEFT JOIN pg_stat_activity ON backend_xid = oldest::xid LEFT JOIN pg_prepared_xacts p ON p.transaction = oldest::xid`

// errHeld ends a reader because its messages wait for a transaction. While that is open, Subscribe returns an error
// about it.
var errHeld = errors.New("messages wait for an older transaction that is still open")

// waitForHolder waits, for a while, for the end of the transaction that stopped a reader. The error names the
// transaction.
func (t *Transport) waitForHolder(ctx context.Context) error {
	t.mu.Lock()
	stopped := t.holder
	t.mu.Unlock()
	if stopped == 0 {
		return nil
	}
	until := time.Now().Add(min(tryFor, t.config.Timeout/2))
	for {
		var h holder
		err := t.db.QueryRowContext(ctx, selectHolder).Scan(&h.id, &h.pid, &h.database, &h.application, &h.since, &h.prepared)
		if err != nil {
			return err
		}
		if h.id != stopped {
			break
		}
		if time.Now().After(until) || !pause.For(ctx, lastLook) {
			return h.err()
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holder == stopped {
		t.holder = 0
	}
	return nil
}

// err returns the error about a transaction that holds up messages.
func (h holder) err() error {
	const what = "messages wait for an older transaction that is still open, to stay in order: "
	switch {
	case h.prepared != "":
		return permanentf(what+"it is the prepared transaction %q in database %s, since %s: COMMIT PREPARED or ROLLBACK PREPARED it", h.prepared, h.database, h.since)
	case h.pid != 0:
		return permanentf(what+"it belongs to application %q in database %s, since %s: end it, or SELECT pg_terminate_backend(%d)", h.application, h.database, h.since, h.pid)
	}
	return permanentf(what+"it has backend_xid %d in pg_stat_activity, visible to a superuser or a member of pg_read_all_stats: end it", uint32(h.id))
}
