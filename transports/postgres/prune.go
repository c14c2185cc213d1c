package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/troupebus/troupe/internal/oncelog"
	"github.com/troupebus/troupe/internal/pause"
)

const (
	pruneRows = 1000
	// pruneEvery is how often each process that uses a topic deletes old messages; or eight times in a shorter Retention.
	pruneEvery = 10 * time.Minute
	pruneLimit = time.Minute
)

// pruneAll deletes old messages now and then, until Close.
func (t *Transport) pruneAll() {
	every := max(min(t.config.Retention/8, pruneEvery), time.Millisecond)
	tries := oncelog.NewTries(t.config.Logger, "postgres: deleting old messages")
	for pause.For(t.ctx, every/2+rand.N(every)) { // so that processes that start together drift apart
		t.mu.Lock()
		prepared := slices.Sorted(maps.Keys(t.prepared))
		t.mu.Unlock()
		var errs []error
		for _, topic := range prepared {
			if err := t.prune(topic); err != nil {
				errs = append(errs, t.explain("prune "+topic, err))
			}
		}
		if t.ctx.Err() == nil {
			tries.Note(errors.Join(errs...))
		}
	}
}

// prune deletes the old messages of a topic in batches, and unused positions.
func (t *Transport) prune(topic string) error {
	ctx, cancel := context.WithTimeout(t.ctx, pruneLimit)
	defer cancel()
	tb := t.tables(topic)
	err := t.deletePassed(ctx, tb)
	for more := true; more && err == nil; {
		var deleted int
		if deleted, err = t.pruneSome(ctx, tb); err == nil && deleted < pruneRows {
			more, err = t.checkSlowest(ctx, tb)
		}
	}
	return err
}

// forObservers reports whether only observers read the topic, and there may be none. The names of such topics begin
// with "_", unlike those of modules.
func (tb tables) forObservers() bool { return strings.HasPrefix(tb.topic, "_") }

// deleteOld looks only at the oldest messages, and deletes them up to the first message to keep. All groups have
// acknowledged the deleted messages. In a topic without groups nothing is deleted; but in a topic for observers, the
// messages need only be final (selectMessages). The row of noGroup notes the last deletion.
const deleteOld = `
WITH behind AS (
	SELECT last_processed_transaction_id AS transaction_id, offset_acked AS "offset" FROM %[2]s WHERE consumer_group <> ''
	UNION ALL SELECT pg_snapshot_xmin(pg_current_snapshot()), 0 WHERE $3
	ORDER BY 1, 2 LIMIT 1),
oldest AS (
	SELECT transaction_id, "offset",
		bool_and(created_at < now() - $2 * interval '1 microsecond') OVER (ORDER BY transaction_id, "offset") AS old
	FROM (SELECT transaction_id, "offset", created_at FROM %[1]s ORDER BY transaction_id, "offset" LIMIT $1) m),
deleted AS (
	DELETE FROM %[1]s m USING oldest, behind
	WHERE (m.transaction_id, m."offset") = (oldest.transaction_id, oldest."offset")
		AND oldest.old AND (oldest.transaction_id, oldest."offset") <= (behind.transaction_id, behind."offset")
	RETURNING m.transaction_id, m."offset"),
noted AS (
	INSERT INTO %[2]s (consumer_group, offset_acked, last_processed_transaction_id)
	SELECT '', "offset", transaction_id FROM deleted ORDER BY transaction_id DESC, "offset" DESC LIMIT 1
	ON CONFLICT (consumer_group) DO UPDATE
	SET offset_acked = excluded.offset_acked, last_processed_transaction_id = excluded.last_processed_transaction_id)
SELECT count(*) FROM deleted`

// pruneSome returns the number of deleted messages. It deletes none while another process prunes, or a new group
// subscribes and would find a gap.
func (t *Transport) pruneSome(ctx context.Context, tb tables) (deleted int, err error) {
	err = t.inTx(ctx, func(tx *sql.Tx) error {
		mine := false
		err := tx.QueryRowContext(ctx, `SELECT pg_try_advisory_xact_lock($1)`, lockOf("prune", tb.messages)).Scan(&mine)
		if err != nil || !mine {
			return err
		}
		query := fmt.Sprintf(deleteOld, quoted(tb.messages), quoted(tb.offsets))
		return tx.QueryRowContext(ctx, query, pruneRows, t.config.Retention.Microseconds(), tb.forObservers()).Scan(&deleted)
	})
	return deleted, err
}
