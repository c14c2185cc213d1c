package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/mattn/go-sqlite3"
)

// kept are the journal's prepared statements on the write connection. Only the writer's goroutine may use them.
type kept struct {
	begin, commit, abort, trial  *stmt
	savepoint, rollback, release *stmt
	event, eventMeta, unnumber   *stmt
	delay, undelay               *stmt
	first, deliver               *stmt
	pend, unpend                 *stmt
	dead, revived                *stmt
	cursor                       *stmt
	dataVersion, nothing         *stmt
	unrecord, place, sent        *stmt
	usedUp                       *stmt

	all []*stmt
}

const (
	insertEvent = `
INSERT INTO events (id, type, version, source, key, time, correlation_id, causation_id, subscription, hops, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id, type) DO NOTHING`

	insertWithMetadata = `
INSERT INTO events (id, type, version, source, key, time, correlation_id, causation_id, subscription, hops, data, metadata)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id, type) DO NOTHING`

	insertDelayed = `
INSERT INTO delayed (event_id, type, version, source, key, due_at, correlation_id, causation_id, subscription, hops, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (event_id) DO NOTHING`

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

	upsertPending = `
INSERT INTO pending (subscription, key, seq, state, attempts, due_at, failed_at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (subscription, key, seq) DO UPDATE
SET state = excluded.state, attempts = excluded.attempts, due_at = excluded.due_at, failed_at = excluded.failed_at`

	upsertDeadLetter = `
INSERT INTO dead_letters (seq, subscription, error, stack, attempts, first_failed_at, dead_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (subscription, seq) DO UPDATE
SET error = excluded.error, stack = excluded.stack, attempts = dead_letters.attempts + excluded.attempts,
    dead_at = excluded.dead_at, status = 'dead'`
)

func prepareKept(c *sqlite3.SQLiteConn) (*kept, error) {
	k := &kept{}
	for _, s := range []struct {
		into  **stmt
		query string
	}{
		{&k.begin, "BEGIN IMMEDIATE"},
		{&k.commit, "COMMIT"},
		{&k.abort, "ROLLBACK"},
		{&k.trial, "UPDATE identity SET id = id"},
		{&k.usedUp, "UPDATE sqlite_sequence SET seq = seq WHERE seq = 9223372036854775807"},
		{&k.savepoint, "SAVEPOINT work"},
		{&k.rollback, "ROLLBACK TO work"},
		{&k.release, "RELEASE work"},
		{&k.event, insertEvent},
		{&k.eventMeta, insertWithMetadata},
		{&k.unnumber, "UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = 'events'"},
		{&k.delay, insertDelayed},
		{&k.undelay, "DELETE FROM delayed WHERE event_id = ?"},
		{&k.first, insertDelivery},
		{&k.deliver, upsertDelivery},
		{&k.pend, upsertPending},
		{&k.unpend, "DELETE FROM pending WHERE subscription = ? AND key = ? AND seq = ?"},
		{&k.dead, upsertDeadLetter},
		{&k.revived, "UPDATE dead_letters SET status = ? WHERE subscription = ? AND seq = ? AND status = 'replaying'"},
		{&k.cursor, "UPDATE subscriptions SET cursor = max(cursor, ?) WHERE id = ?"},
		{&k.dataVersion, "PRAGMA data_version"},
		{&k.nothing, "SELECT 1 WHERE 0"}, // no row: it ends at once, and no interrupt outlasts it
		{&k.unrecord, "DELETE FROM records WHERE id <= ?"},
		{&k.sent, "REPLACE INTO sent (topic, cursor, base) VALUES (?, ?, ?)"},
		{&k.place, "REPLACE INTO places (place, partition, topic, next) VALUES (?, ?, ?, ?)"},
	} {
		var err error
		if *s.into, err = prepare(c, s.query); err != nil {
			return nil, errors.Join(err, k.close())
		}
		k.all = append(k.all, *s.into)
	}
	return k, nil
}

// close finalizes the statements. SQLite keeps the connection and its log open until all statements are closed.
func (k *kept) close() error {
	var errs []error
	for _, s := range k.all {
		errs = append(errs, s.s.Close())
	}
	return errors.Join(errs...)
}

// answer writes the outcome of a delivery, and returns the number of changed rows: 0 if the journal has a final
// outcome. again says that a row exists.
func (k *kept) answer(again bool, args ...any) (changed int64, err error) {
	if !again {
		changed, _, err = k.first.exec(args...)
	}
	if changed == 0 && err == nil {
		changed, _, err = k.deliver.exec(args...)
	}
	return changed, err
}

// stmt is a prepared statement on the write connection, beneath database/sql, at a third of the cost
// (docs/decisions/0002). Only the writer's goroutine may use it.
type stmt struct {
	s    *sqlite3.SQLiteStmt
	args []driver.NamedValue
}

func prepare(c *sqlite3.SQLiteConn, query string) (*stmt, error) {
	s, err := c.Prepare(query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	st := &stmt{s: s.(*sqlite3.SQLiteStmt)}
	st.args = make([]driver.NamedValue, s.NumInput())
	for i := range st.args {
		st.args[i].Ordinal = i + 1
	}
	return st, nil
}

// exec binds args (int64, string, []byte, or nil) and returns the rows changed and the last rowid.
func (s *stmt) exec(args ...any) (changed, rowid int64, err error) {
	for i, a := range args {
		s.args[i].Value = a
	}
	res, err := s.s.ExecContext(context.Background(), s.args[:len(args)])
	if err != nil {
		return 0, 0, err
	}
	changed, _ = res.RowsAffected() // neither call of the driver's result can fail
	rowid, _ = res.LastInsertId()
	return changed, rowid, nil
}

// int64 runs a statement that returns one number.
func (s *stmt) int64() (int64, error) {
	rows, err := s.s.QueryContext(context.Background(), nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	dest := make([]driver.Value, 1)
	if err := rows.Next(dest); err != nil {
		return 0, err
	}
	n, _ := dest[0].(int64)
	return n, nil
}
