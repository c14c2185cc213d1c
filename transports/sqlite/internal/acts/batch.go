package acts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// ActBatch is the number of deliveries that an act changes in one transaction. Other writers work between the batches.
const ActBatch = 250

// verb is an operation on dead letters.
type verb struct {
	name   string
	status journal.LetterStatus      // the new status
	runs   bool                      // the subscription must exist, to handle them
	set    func(a Act) row.Statement // new values of the deliveries
	pend   func(ids string, now int64) row.Statement
}

const ofLetters = ` FROM dead_letters l JOIN events e ON e.seq = l.seq WHERE l.id IN (SELECT value FROM json_each(?))`

var (
	// A replayed dead letter waits like a blocked delivery: after the older open events of the key. Without a key it is
	// due at once. The time of death is from the owner's clock; the clock of this process may be ahead.
	replaying = verb{"replay", journal.LetterReplaying, true, func(Act) row.Statement {
		return row.SQL("outcome = iif(x.key = '', 'retrying', 'blocked'), attempts = 0")
	}, func(ids string, now int64) row.Statement {
		return row.SQL(`
INSERT INTO pending (subscription, key, seq, state, attempts, due_at)
SELECT l.subscription, e.key, e.seq, iif(e.key = '', 'retrying', 'blocked'), 0, iif(e.key = '', min(?, l.dead_at), 0)`+ofLetters+`
ON CONFLICT (subscription, key, seq) DO UPDATE SET state = excluded.state, attempts = 0, due_at = excluded.due_at, failed_at = 0`,
			now, ids)
	}}

	dropping = verb{"drop", journal.LetterDropped, false, func(a Act) row.Statement {
		return row.SQL("outcome = 'dropped', error = ?", a.Reason)
	}, func(ids string, _ int64) row.Statement {
		return row.SQL(`
DELETE FROM pending WHERE state = 'parked' AND (subscription, key, seq) IN (SELECT l.subscription, e.key, e.seq`+ofLetters+`)`, ids)
	}}
)

func (v verb) explain(err error) error {
	if err != nil {
		return fmt.Errorf("%s dead letters: %w", v.name, row.Explain(err))
	}
	return nil
}

// do applies v to letters, all dead, and records the act.
func (v verb) do(ctx context.Context, tx *sql.Tx, a Act, letters []journal.DeadLetter) error {
	ids := make([]int64, len(letters))
	for i := range letters {
		ids[i], letters[i].Status = letters[i].ID, v.status
	}
	all := row.List(ids)
	if _, err := tx.ExecContext(ctx, "UPDATE dead_letters SET status = ? WHERE id IN (SELECT value FROM json_each(?))", string(v.status), all); err != nil {
		return err
	}
	now := journal.Clock(ctx)().UnixMicro()
	set, pend := v.set(a), v.pend(all, now)
	res, err := tx.ExecContext(ctx, "UPDATE deliveries SET "+set.Text+` FROM (SELECT l.subscription, e.seq, e.key`+ofLetters+`) x
WHERE deliveries.seq = x.seq AND deliveries.subscription = x.subscription AND deliveries.outcome = 'dead'`, append(set.Args, all)...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != int64(len(ids)) {
		return errors.Join(err, fmt.Errorf("%w: the deliveries of %d of these dead letters are not dead", ErrBooks, int64(len(ids))-n))
	}
	if _, err := tx.ExecContext(ctx, pend.Text, pend.Args...); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO acts (at, actor, act, dead_letter, reason) SELECT ?, ?, ?, value, ? FROM json_each(?)",
		now, a.Actor, v.name, a.Reason, all)
	return err
}

const selectBriefly = `
SELECT e.seq, e.id, e.type, e.key, l.id, s.name, s.retired_at IS NOT NULL` + reader.FromDeadLetters

// inBatches applies v to all selected dead letters, in batches.
func (a Act) inBatches(ctx context.Context, db *sql.DB, v verb) (done []journal.DeadLetter, err error) {
	a.Select.Status = journal.LetterDead
	ids, err := a.fitting(ctx, db, v)
	if err != nil {
		return nil, v.explain(err)
	}
	left, acted := map[string]int{}, 0
	for len(ids) > 0 {
		n := min(len(ids), ActBatch)
		began := time.Now()
		batch, err := a.batch(ctx, db, v, ids[:n], left)
		acted += len(batch)
		done = append(done, a.tell(batch)...)
		if err != nil {
			return done, v.explain(err)
		}
		if ids = ids[n:]; len(ids) > 0 { // the owner polls for the lock: leave time
			select {
			case <-time.After(max(time.Since(began), 5*time.Millisecond)):
			case <-ctx.Done():
				return done, v.explain(ctx.Err())
			}
		}
	}
	for name, n := range left {
		if a.Left != nil {
			a.Left(name, n)
		}
	}
	if acted == 0 && len(left) == 0 {
		return nil, v.explain(fmt.Errorf("%w: no dead letter fits", reader.ErrNotFound))
	}
	return done, nil
}

// fitting returns the ids of the selected dead letters, oldest first.
func (a Act) fitting(ctx context.Context, db *sql.DB, v verb) (ids []int64, err error) {
	where, args, err := reader.QuickConditions(ctx, db, a.Select)
	if err != nil {
		return nil, err
	}
	limit := a.Select.Limit
	if limit == 0 {
		limit = -1
	}
	query := row.SQL("SELECT id FROM (SELECT l.id"+reader.FromLetters+where+" ORDER BY l.id DESC LIMIT ?) ORDER BY id", append(args, limit)...)
	if err := file.Transact(ctx, db, func(tx *sql.Tx) error { return mustDecide(ctx, tx, v.name, a.Select) }); err != nil {
		return nil, err
	}
	return row.IDs(ctx, db, query) // without the write lock of a transaction
}

// batch applies v to those of ids that are still dead. It counts the dead letters of removed subscriptions in left.
func (a Act) batch(
	ctx context.Context, db *sql.DB, v verb, ids []int64, left map[string]int,
) (letters []journal.DeadLetter, err error) {
	query := row.SQL(selectBriefly+"l.status = 'dead' AND l.id IN (SELECT value FROM json_each(?)) ORDER BY l.id", row.List(ids))
	err = file.Transact(ctx, db, func(tx *sql.Tx) error {
		err := row.Each(ctx, tx, query, func(rows *sql.Rows) error {
			var l journal.DeadLetter
			var retired bool
			e := &l.Event
			if err := rows.Scan(&e.Seq, &e.ID, &e.Type, &e.Key, &l.ID, &l.Subscription, &retired); err != nil {
				return err
			}
			if retired && v.runs {
				left[l.Subscription]++
			} else {
				letters = append(letters, l)
			}
			return nil
		})
		if err != nil || len(letters) == 0 {
			return err
		}
		return v.do(ctx, tx, a, letters)
	})
	if err != nil {
		return nil, err
	}
	return letters, nil
}
