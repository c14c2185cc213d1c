package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// A journal of ten million events has its counts at hand: what is full of the log, and behind everybody's cursor, is counted once,
// by its owner, in steps of a block. Whoever reads adds what is not counted yet. See schema/0008_reading.sql.

// blockSize is how many numbers of the log are counted together: some milliseconds of the writer's time.
const blockSize = 4096

// countShare is how much longer than a step the pause behind it is, when there is much to be counted: a journal that comes from an
// older program is counted while it works.
const countShare = 4

// watchCounts counts what the log has become longer by.
func (j *Journal) watchCounts() {
	if j.tail.newest() >= blockSize {
		poke(j.count)
	}
	for {
		select {
		case <-j.ctx.Done():
			return
		case <-j.count:
		}
		for more := true; more; {
			began := time.Now()
			err := j.writer.submit(j.ctx, &item{alone: func(c *sql.Conn) (err error) {
				more, err = countNext(j.ctx, c)
				return err
			}})
			if err != nil {
				if j.ctx.Err() == nil && !errors.Is(err, journal.ErrClosed) {
					j.cfg.Logger.LogAttrs(j.ctx, slog.LevelWarn, "cannot count the journal: counts take longer to read until that works", slog.Any("error", err))
				}
				break
			}
			if more && !sleep(j.ctx, countShare*time.Since(began)) {
				return
			}
		}
	}
}

// sleep reports false when ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

const (
	// countBlock counts the block of the log behind ?1.
	countBlock = `
INSERT INTO blocks (type, block, events, latest)
SELECT type, ?1 / 4096, count(*), max(time) FROM events WHERE seq > ?1 AND seq <= ?1 + 4096 GROUP BY type`

	countedLog = `
INSERT INTO counted (subscription, upto) VALUES (0, ?) ON CONFLICT (subscription) DO UPDATE SET upto = excluded.upto`

	// countable are the subscriptions to whose first block that is not counted no delivery can come any more. An observer is told of
	// deliveries in any order: there are none.
	countable = `
SELECT s.id, coalesce(c.upto, 0) AS upto FROM subscriptions s LEFT JOIN counted c ON c.subscription = s.id
WHERE s.kind = 'bus' AND coalesce(c.upto, 0) + 4096 <= CASE WHEN s.retired_at IS NULL THEN s.cursor ELSE (SELECT max(seq) FROM events) END
  AND NOT EXISTS (SELECT 1 FROM observer)`

	countDeliveries = `
INSERT INTO counted (subscription, upto, done, skipped, retrying, blocked, dead, dropped, retries)
SELECT p.id, ?1 + 4096, coalesce(n.done, 0), coalesce(n.skipped, 0), coalesce(n.retrying, 0), coalesce(n.blocked, 0), coalesce(n.dead, 0),
       coalesce(n.dropped, 0), coalesce(n.retries, 0)
FROM (` + countable + `) p LEFT JOIN (
	SELECT subscription, sum(outcome = 'done') AS done, sum(outcome = 'skipped') AS skipped, sum(outcome = 'retrying') AS retrying,
	       sum(outcome = 'blocked') AS blocked, sum(outcome = 'dead') AS dead, sum(outcome = 'dropped') AS dropped,
	       sum(max(attempts - 1, 0)) AS retries
	FROM deliveries WHERE seq > ?1 AND seq <= ?1 + 4096 GROUP BY subscription) n ON n.subscription = p.id
WHERE p.upto = ?1
ON CONFLICT (subscription) DO UPDATE SET upto = excluded.upto, done = done + excluded.done, skipped = skipped + excluded.skipped,
	retrying = retrying + excluded.retrying, blocked = blocked + excluded.blocked, dead = dead + excluded.dead,
	dropped = dropped + excluded.dropped, retries = retries + excluded.retries`
)

// countNext counts a block of the log, and one of the deliveries, and reports whether there are more.
func countNext(ctx context.Context, c *sql.Conn) (more bool, err error) {
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback() }() // a no-op after Commit
	var upto, head int64
	err = tx.QueryRowContext(ctx, "SELECT coalesce((SELECT upto FROM counted WHERE subscription = 0), 0), coalesce((SELECT max(seq) FROM events), 0)").Scan(&upto, &head)
	if err != nil {
		return false, err
	}
	if upto+blockSize <= head {
		if _, err := tx.ExecContext(ctx, countBlock, upto); err != nil {
			return false, err
		}
		upto += blockSize
		if _, err := tx.ExecContext(ctx, countedLog, upto); err != nil {
			return false, err
		}
	}
	var from sql.NullInt64
	const lowest = "SELECT min(upto) FROM (" + countable + ")"
	if err := tx.QueryRowContext(ctx, lowest).Scan(&from); err != nil {
		return false, err
	}
	if from.Valid {
		if _, err := tx.ExecContext(ctx, countDeliveries, from.Int64); err != nil {
			return false, err
		}
		if err := tx.QueryRowContext(ctx, lowest).Scan(&from); err != nil {
			return false, err
		}
	}
	return upto+blockSize <= head || from.Valid, tx.Commit()
}
