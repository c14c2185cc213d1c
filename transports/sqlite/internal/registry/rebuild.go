package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/troupebus/troupe/transports/sqlite/internal/typechange"
)

// actor is the name that the journal's own acts have.
const actor = "journal"

// rebuild begins a run of k from the start. The deliveries of the former run stay in a retired row of their own. Open
// work and dead letters of the former run are dropped: the new run handles their events.
func (k *known) rebuild(ctx context.Context, tx *sql.Tx, version int) (dropped OpenWork, err error) {
	why := fmt.Sprintf("%s runs from the start, as version %d", k.name, version)
	if dropped, err = giveUp(ctx, tx, k.id, actor, why); err != nil {
		return dropped, err
	}
	return dropped, k.archive(ctx, tx, version, k.rebuilds+1, actor, why)
}

// archive makes the row of k the row of a former run, and inserts a new row for run n.
func (k *known) archive(ctx context.Context, tx *sql.Tx, version, n int, by, why string) error {
	_, err := tx.ExecContext(ctx, `
UPDATE subscriptions SET name = ?1, run_of = name, retired_at = coalesce(retired_at, ?2), retired_by = ?3, retired_why = ?4 WHERE id = ?5`,
		fmt.Sprintf("%s (before rebuild %d)", k.name, n), time.Now().UnixMicro(), by, why, k.id)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM records WHERE subscription = ?", k.id); err != nil { // observers archive the run themselves
		return err
	}
	var run int64
	err = tx.QueryRowContext(ctx, `
INSERT INTO subscriptions (name, kind, types, except_of, start_seq, cursor, since, was, version, rebuilds)
SELECT run_of, kind, types, except_of, start_seq, start_seq, since, was, ?, ? FROM subscriptions WHERE id = ? RETURNING id`,
		version, n, k.id).Scan(&run)
	if err != nil {
		return err
	}
	return typechange.Again(ctx, tx, k.id, run)
}

// giveUp drops the open deliveries and the dead letters of a subscription.
func giveUp(ctx context.Context, tx *sql.Tx, subscription int64, by, why string) (dropped OpenWork, err error) {
	const dead = "(SELECT seq FROM dead_letters WHERE subscription = ?1 AND status IN ('dead', 'replaying'))"
	const open = "(SELECT seq FROM pending WHERE subscription = ?1 AND state IN ('retrying', 'blocked'))"
	err = tx.QueryRowContext(ctx, `
SELECT (SELECT count(*) FROM pending WHERE subscription = ?1 AND state = 'retrying'), (SELECT count(*) FROM pending WHERE subscription = ?1 AND state = 'blocked'),
       (SELECT count(*) FROM dead_letters WHERE subscription = ?1 AND status IN ('dead', 'replaying'))`, subscription).
		Scan(&dropped.Retrying, &dropped.Blocked, &dropped.DeadLetters)
	if err != nil || dropped.none() {
		return dropped, err
	}
	now := time.Now().UnixMicro()
	for _, s := range []string{
		"INSERT INTO acts (at, actor, act, dead_letter, reason) SELECT ?2, ?3, 'drop', id, ?4 FROM dead_letters WHERE subscription = ?1 AND seq IN " + dead,
		"INSERT INTO open_acts (at, actor, act, seq, subscription, reason) SELECT ?2, ?3, 'drop', seq, ?1, ?4 FROM (SELECT seq FROM " + open + " EXCEPT SELECT seq FROM " + dead + ")",
		"UPDATE deliveries SET outcome = 'dropped', error = ?4 WHERE subscription = ?1 AND seq IN (SELECT seq FROM " + open + " UNION SELECT seq FROM " + dead + ")",
		"UPDATE dead_letters SET status = 'dropped' WHERE subscription = ?1 AND status IN ('dead', 'replaying')",
		"DELETE FROM pending WHERE subscription = ?1",
	} {
		if _, err := tx.ExecContext(ctx, s, subscription, now, by, why); err != nil {
			return dropped, err
		}
	}
	return dropped, nil
}

// dropWaiting answers the events without an attempt: a subscription that comes back does not handle these events.
const dropWaiting = `
INSERT INTO deliveries (seq, subscription, outcome, attempts, started_at, duration, error)
SELECT e.seq, s.id, 'dropped', 0, ?2, 0, ?3 FROM subscriptions s CROSS JOIN events e ON e.seq > s.cursor AND ` + wanted + `
WHERE s.id = ?1 AND s.retired_at IS NULL ON CONFLICT DO NOTHING`

// Retire gives up the open work of the subscription called name, for good, and retires the subscription. It returns the
// dropped work, and reports whether there is such a subscription. by and why are for the record.
func Retire(ctx context.Context, tx *sql.Tx, name, by, why string) (dropped OpenWork, found bool, err error) {
	var id int64
	err = tx.QueryRowContext(ctx, "SELECT id FROM subscriptions WHERE kind = 'bus' AND run_of = '' AND name = ?", name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return dropped, false, nil
	}
	if err != nil {
		return dropped, false, err
	}
	open, err := leftOpen(ctx, tx, []string{name})
	if err != nil {
		return dropped, true, err
	}
	if dropped, err = giveUp(ctx, tx, id, by, why); err != nil {
		return dropped, true, err
	}
	if len(open) > 0 {
		dropped.Events = open[0].Events
	}
	if _, err := tx.ExecContext(ctx, dropWaiting, id, time.Now().UnixMicro(), why); err != nil {
		return dropped, true, err
	}
	_, err = tx.ExecContext(ctx, "UPDATE subscriptions SET retired_at = coalesce(retired_at, ?), retired_by = ?, retired_why = ? WHERE id = ?",
		time.Now().UnixMicro(), by, why, id)
	if err == nil {
		err = Report(ctx, tx, id)
	}
	return dropped, true, err
}
