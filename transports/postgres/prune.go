package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	pruneRows = 1000
	// Every process that uses a topic looks for what may go, this often, or eight times in a Retention that is shorter.
	pruneEvery = 10 * time.Minute
	pruneLimit = time.Minute
)

// pruneAll deletes what may go, now and then, until Close.
func (t *Transport) pruneAll() {
	every := max(min(t.config.Retention/8, pruneEvery), time.Millisecond)
	for wait(t.ctx, every/2+rand.N(every)) { // processes that were started together do not stay so
		t.mu.Lock()
		prepared := slices.Sorted(maps.Keys(t.prepared))
		t.mu.Unlock()
		for _, topic := range prepared {
			if err := t.prune(topic); err != nil && t.ctx.Err() == nil {
				t.config.Logger.Warn("postgres: old messages are not deleted, will try again", slog.Any("error", t.explain("prune "+topic, err)))
			}
		}
	}
}

// prune deletes the old messages of a topic, some at a time.
func (t *Transport) prune(topic string) error {
	ctx, cancel := context.WithTimeout(t.ctx, pruneLimit)
	defer cancel()
	tb := t.tables(topic)
	for {
		deleted, err := t.pruneSome(ctx, tb)
		if err != nil {
			return err
		}
		if deleted < pruneRows {
			return t.reportHolding(ctx, tb)
		}
	}
}

// deleteOld looks at the oldest messages only. Those that are deleted are behind the place of every group; without a group,
// none is.
const deleteOld = `
WITH first AS (
	SELECT last_processed_transaction_id AS transaction_id, offset_acked AS "offset" FROM %[2]s ORDER BY 1, 2 LIMIT 1),
oldest AS (
	SELECT transaction_id, "offset", created_at FROM %[1]s ORDER BY transaction_id, "offset" LIMIT $1)
DELETE FROM %[1]s m USING oldest, first
WHERE (m.transaction_id, m."offset") = (oldest.transaction_id, oldest."offset")
	AND (oldest.transaction_id, oldest."offset") <= (first.transaction_id, first."offset")
	AND oldest.created_at < now() - $2 * interval '1 microsecond'`

// pruneSome returns how many messages it deleted. It leaves it to another process if that is at it, or if a group is just
// becoming known, which would find a gap.
func (t *Transport) pruneSome(ctx context.Context, tb tables) (deleted int64, err error) {
	err = t.inTx(ctx, func(tx *sql.Tx) error {
		mine := false
		err := tx.QueryRowContext(ctx, `SELECT pg_try_advisory_xact_lock($1)`, lockOf("prune", tb.messages)).Scan(&mine)
		if err != nil || !mine {
			return err
		}
		query := fmt.Sprintf(deleteOld, quoted(tb.messages), quoted(tb.offsets))
		result, err := tx.ExecContext(ctx, query, pruneRows, t.config.Retention.Microseconds())
		if err != nil {
			return err
		}
		deleted, err = result.RowsAffected()
		return err
	})
	return deleted, err
}

// selectHolding finds the group that is behind the most, if the oldest message is behind its place and should have gone long ago.
const selectHolding = `
SELECT g.consumer_group, m.created_at
FROM (SELECT * FROM %[2]s ORDER BY last_processed_transaction_id, offset_acked LIMIT 1) g,
	(SELECT * FROM %[1]s ORDER BY transaction_id, "offset" LIMIT 1) m
WHERE (m.transaction_id, m."offset") > (g.last_processed_transaction_id, g.offset_acked)
	AND m.created_at < now() - $1 * interval '2 microseconds'`

// reportHolding says once of a group that it makes a topic grow.
func (t *Transport) reportHolding(ctx context.Context, tb tables) error {
	var group string
	var since time.Time
	query := fmt.Sprintf(selectHolding, quoted(tb.messages), quoted(tb.offsets))
	err := t.db.QueryRowContext(ctx, query, t.config.Retention.Microseconds()).Scan(&group, &since)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	key := tb.topic + "\x00" + group
	t.mu.Lock()
	told := t.told[key]
	t.told[key] = true
	t.mu.Unlock()
	if !told {
		t.config.Logger.Warn("postgres: a group does not acknowledge, and its messages are kept: start it, or, if it is gone for good, delete its row",
			slog.String("topic", tb.topic), slog.String("group", group), slog.String("table", tb.offsets), slog.Time("since", since))
	}
	return nil
}
