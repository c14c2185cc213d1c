package sqlite

import (
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/workconn"
)

// statements are the journal's prepared statements on the write connection. Only the writer's goroutine may use them.
type statements struct {
	undelay, tick         *workconn.Stmt
	first, deliver        *workconn.Stmt
	pend, unpend          *workconn.Stmt
	dead, revived         *workconn.Stmt
	cursor                *workconn.Stmt
	dataVersion           *workconn.Stmt
	unrecord, place, sent *workconn.Stmt
}

const (
	// insertDelivery is for the first answer to a delivery. Unlike upsertDelivery it runs no trigger, except for the
	// feed of records: for a trigger, SQLite would keep a copy of every changed page.
	insertDelivery = `
INSERT INTO deliveries (seq, subscription, outcome, attempts, started_at, duration, error)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (seq, subscription) DO NOTHING`

	// upsertDelivery changes no row of a delivery with a final answer. The caller then undoes the whole group.
	upsertDelivery = `
INSERT INTO deliveries (seq, subscription, outcome, attempts, started_at, duration, error)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (seq, subscription) DO UPDATE
SET outcome = excluded.outcome, attempts = excluded.attempts, started_at = excluded.started_at,
    duration = excluded.duration, error = excluded.error
WHERE outcome IN ('retrying', 'blocked')`

	upsertDeadLetter = `
INSERT INTO dead_letters (seq, subscription, error, stack, attempts, first_failed_at, dead_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (subscription, seq) DO UPDATE
SET error = excluded.error, stack = excluded.stack, attempts = dead_letters.attempts + excluded.attempts,
    dead_at = excluded.dead_at, status = 'dead'`
)

// prepare prepares the journal's statements.
func (j *Journal) prepare() error {
	k := &j.kept
	return j.writer.Prepare(map[**workconn.Stmt]string{
		&k.undelay:     "DELETE FROM delayed WHERE event_id = ?",
		&k.tick:        upsertSchedule,
		&k.first:       insertDelivery,
		&k.deliver:     upsertDelivery,
		&k.pend:        row.UpsertPending,
		&k.unpend:      "DELETE FROM pending WHERE subscription = ? AND key = ? AND seq = ?",
		&k.dead:        upsertDeadLetter,
		&k.revived:     "UPDATE dead_letters SET status = ? WHERE subscription = ? AND seq = ? AND status = 'replaying'",
		&k.cursor:      "UPDATE subscriptions SET cursor = max(cursor, ?) WHERE id = ?",
		&k.dataVersion: "PRAGMA data_version",
		&k.unrecord:    "DELETE FROM records WHERE id <= ?",
		&k.sent:        "REPLACE INTO sent (topic, cursor, base) VALUES (?, ?, ?)",
		&k.place:       "REPLACE INTO places (place, partition, topic, next) VALUES (?, ?, ?, ?)",
	})
}

// answer writes the outcome of a delivery, and returns the number of changed rows: 0 if the journal has a final
// outcome. again says that a row exists.
func (k *statements) answer(again bool, args ...any) (changed int64, err error) {
	if !again {
		changed, _, err = k.first.Exec(args...)
	}
	if changed == 0 && err == nil {
		changed, _, err = k.deliver.Exec(args...)
	}
	return changed, err
}
