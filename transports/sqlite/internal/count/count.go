package count

import (
	"context"
	"database/sql"
	"math"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// The owner of a journal counts each full block of the log once, and the deliveries of a subscription in a block once
// the cursor of that subscription has passed the block. A reader takes these counts and adds the rest of the log, so
// a journal of ten million events is counted at once. See schema/0008_reading.sql; for the causes of dead letters,
// schema/0013_causes.sql.

// BlockSize is the number of seqs that are counted together: some milliseconds of the writer's time.
const BlockSize = 4096

const (
	// countBlock counts the block of the log after ?1.
	countBlock = `
INSERT INTO blocks (type, block, events, latest)
SELECT type, ?1 / 4096, count(*), max(time) FROM events WHERE seq > ?1 AND seq <= ?1 + 4096 GROUP BY type`

	countKeys = `
INSERT INTO keys (key, block, correlation_id)
SELECT DISTINCT key, ?1 / 4096, correlation_id FROM events WHERE seq > ?1 AND seq <= ?1 + 4096 AND key <> correlation_id AND key <> ''`

	countedLog = `
INSERT INTO counted (subscription, upto) VALUES (0, ?) ON CONFLICT (subscription) DO UPDATE SET upto = excluded.upto`

	// countable selects the subscriptions whose next block gets no more deliveries. An observer receives deliveries in any
	// order: in its journal, none is countable.
	countable = `
SELECT s.id, coalesce(c.upto, 0) AS upto FROM subscriptions s LEFT JOIN counted c ON c.subscription = s.id
WHERE s.kind = 'bus' AND coalesce(c.upto, 0) + 4096 <= CASE WHEN s.retired_at IS NULL THEN s.cursor ELSE (SELECT max(seq) FROM events) END
  AND NOT EXISTS (SELECT 1 FROM observer)`

	// Most deliveries are done at the first attempt. Counting only their number costs a third.
	countDeliveries = `
INSERT INTO counted (subscription, upto, done, skipped, retrying, blocked, dead, dropped, retries)
SELECT p.id, ?1 + 4096, coalesce(a.n, 0) - coalesce(n.others, 0), coalesce(n.skipped, 0), coalesce(n.retrying, 0), coalesce(n.blocked, 0), coalesce(n.dead, 0),
       coalesce(n.dropped, 0), coalesce(n.retries, 0)
FROM (` + countable + `) p LEFT JOIN (
	SELECT subscription, count(*) AS n FROM deliveries WHERE seq > ?1 AND seq <= ?1 + 4096 GROUP BY subscription) a ON a.subscription = p.id
LEFT JOIN (
	SELECT subscription, sum(outcome <> 'done') AS others, sum(outcome = 'skipped') AS skipped, sum(outcome = 'retrying') AS retrying,
	       sum(outcome = 'blocked') AS blocked, sum(outcome = 'dead') AS dead, sum(outcome = 'dropped') AS dropped,
	       sum(max(attempts - 1, 0)) AS retries
	FROM deliveries WHERE seq > ?1 AND seq <= ?1 + 4096 AND NOT (outcome = 'done' AND attempts = 1) GROUP BY subscription) n ON n.subscription = p.id
WHERE p.upto = ?1
ON CONFLICT (subscription) DO UPDATE SET upto = excluded.upto, done = done + excluded.done, skipped = skipped + excluded.skipped,
	retrying = retrying + excluded.retrying, blocked = blocked + excluded.blocked, dead = dead + excluded.dead,
	dropped = dropped + excluded.dropped, retries = retries + excluded.retries`
)

// CountNext counts a block of the log and a block of deliveries, and reports whether there are more.
func CountNext(ctx context.Context, c *sql.Conn, r *Recent) (more bool, err error) {
	tx, err := row.Begin(ctx, c)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback() }() // a no-op after Commit
	var upto, head int64
	err = tx.QueryRowContext(ctx, "SELECT coalesce((SELECT upto FROM counted WHERE subscription = 0), 0), coalesce((SELECT max(seq) FROM events), 0)").Scan(&upto, &head)
	if err != nil {
		return false, err
	}
	if upto+BlockSize <= head {
		if err := r.count(ctx, tx, upto/BlockSize); err != nil {
			return false, err
		}
		if _, err := tx.ExecContext(ctx, countKeys, upto); err != nil {
			return false, err
		}
		upto += BlockSize
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
	return upto+BlockSize <= head || from.Valid, tx.Commit()
}

// Recent counts the log in memory as events are appended, so that the newest blocks are not read again. Only the
// writer's goroutine may call it.
type Recent struct {
	block int64 // the number of the current block
	whole bool  // the block was counted from its first seq on
	last  int64 // the newest seq
	types map[string]*typeCount
	full  map[int64]map[string]*typeCount
}

// typeCount is the number of events of a type, and their latest time.
type typeCount struct{ events, latest int64 }

// recentBlocks is the number of full blocks that wait in memory to be written.
const recentBlocks = 16

// Add counts committed events. A gap in the seqs belongs to another connection: CountNext reads such a block from the
// disk.
func (r *Recent) Add(appended []*journal.Event) {
	for _, e := range appended {
		if block := (e.Seq - 1) / BlockSize; block != r.block || r.types == nil {
			if r.whole && e.Seq == r.last+1 && len(r.full) < recentBlocks {
				r.full[r.block] = r.types
			}
			if r.full == nil {
				r.full = map[int64]map[string]*typeCount{}
			}
			r.block, r.whole, r.types = block, e.Seq == block*BlockSize+1, map[string]*typeCount{}
		} else if e.Seq != r.last+1 {
			r.whole = false
		}
		r.last = e.Seq
		c := r.types[e.Type]
		if c == nil {
			c = &typeCount{latest: math.MinInt64}
			r.types[e.Type] = c
		}
		c.events++
		c.latest = max(c.latest, e.Time.UnixMicro())
	}
}

// count writes the counts of a block, from memory or else by reading the block.
func (r *Recent) count(ctx context.Context, tx *sql.Tx, block int64) error {
	types, known := r.full[block]
	for n := range r.full {
		if n <= block {
			delete(r.full, n)
		}
	}
	if !known {
		_, err := tx.ExecContext(ctx, countBlock, block*BlockSize)
		return err
	}
	for name, c := range types {
		if _, err := tx.ExecContext(ctx, "INSERT INTO blocks (type, block, events, latest) VALUES (?, ?, ?, ?)", name, block, c.events, c.latest); err != nil {
			return err
		}
	}
	return nil
}
