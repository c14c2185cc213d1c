package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/troupebus/troupe/internal/pause"
)

// tryFor is how long Subscribe waits for what stands in its way, before it says what that is.
const tryFor = 3 * time.Second

// holder is the oldest transaction that is open. About one of another role, of which nothing is to be seen, it knows the id only.
type holder struct {
	id                           uint64
	pid                          int
	database, application, since string
	prepared                     string // its name, if it is prepared
}

const selectHolder = `
SELECT oldest::text, coalesce(pid, 0), coalesce(datname, p.database, ''), coalesce(application_name, ''),
	coalesce(coalesce(xact_start, p.prepared)::timestamptz(0)::text, ''), coalesce(gid, '')
FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS oldest) now
	LEFT JOIN pg_stat_activity ON backend_xid = oldest::xid LEFT JOIN pg_prepared_xacts p ON p.transaction = oldest::xid`

// errHeld ends a reader whose messages wait for a transaction. What that is, Subscribe says for as long as it is open.
var errHeld = errors.New("messages wait for an older transaction that is still open")

// waitForHolder waits until the transaction has ended that stopped a reader, for a while. If it has not, the error says what to do.
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
			return h.say()
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holder == stopped {
		t.holder = 0
	}
	return nil
}

// say says what holds up messages.
func (h holder) say() error {
	const what = "messages wait for an older transaction that is still open, as they would be out of order otherwise: "
	switch {
	case h.prepared != "":
		return refuse(what+"the prepared transaction %q in database %s, since %s: COMMIT PREPARED or ROLLBACK PREPARED it", h.prepared, h.database, h.since)
	case h.pid != 0:
		return refuse(what+"that of application %q in database %s, since %s: end it, or SELECT pg_terminate_backend(%d)", h.application, h.database, h.since, h.pid)
	}
	return refuse(what+"that with backend_xid %d in pg_stat_activity, which shows it to a superuser or a member of pg_read_all_stats: end it", uint32(h.id))
}
