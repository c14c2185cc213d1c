package acts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// OpenAct is a decision of a person about open deliveries that are not dead. Every field that is set narrows the
// selection.
type OpenAct struct {
	Actor        string // user name; defaults to the user of the operating system
	Reason       string // for the record
	Subscription string // of the deliveries
	Type         string // of the event
	Key          string // of the event
	Event        string // ID of the event
}

// RetryNow makes deliveries that wait for another attempt due at once, each after the older open events of its key, and
// returns their number. Like Replay, RetryNow works beside a running process, in batches, and returns an ErrObserver on
// the journal of an observer. The error is an ErrNotFound when no delivery waits, and an ErrRetired for a removed
// subscription.
func RetryNow(ctx context.Context, path string, a OpenAct) (int, error) {
	return a.on(ctx, path, "retry")
}

// DropOpen gives up the open deliveries of a removed subscription, retrying and blocked ones, and returns their number.
// DropOpen refuses a subscription that is not removed, and otherwise works like RetryNow.
func DropOpen(ctx context.Context, path string, a OpenAct) (int, error) {
	return a.on(ctx, path, "drop")
}

func (a OpenAct) on(ctx context.Context, path, act string) (done int, err error) {
	db, err := openForActs(ctx, path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	a.Actor = ActorOf(a.Actor)
	fail := func(err error) error { return fmt.Errorf("%s open deliveries: %w", act, row.Explain(err)) }
	if err := file.Transact(ctx, db, func(tx *sql.Tx) error { return a.check(ctx, tx, act) }); err != nil {
		return 0, fail(err)
	}
	now := journal.Clock(ctx)().UnixMicro()
	for {
		began, n := time.Now(), 0
		err := file.Transact(ctx, db, func(tx *sql.Tx) (err error) {
			n, err = a.batch(ctx, tx, act, now)
			return err
		})
		if err != nil {
			return done, fail(err)
		}
		if done += n; n < ActBatch {
			break
		}
		select {
		case <-time.After(max(time.Since(began), 5*time.Millisecond)): // the owner polls for the lock: leave time
		case <-ctx.Done():
			return done, fail(ctx.Err())
		}
	}
	switch {
	case done == 0 && act == "retry":
		return 0, fail(fmt.Errorf("%w: of those that fit, none waits for an attempt that is still to come", reader.ErrNotFound))
	case done == 0:
		return 0, fail(fmt.Errorf("%w: no open delivery fits", reader.ErrNotFound))
	}
	return done, nil
}

// check refuses an act that makes no sense.
func (a OpenAct) check(ctx context.Context, tx *sql.Tx, act string) error {
	if err := mustDecide(ctx, tx, "", reader.DeadLetterFilter{Subscription: a.Subscription}); err != nil {
		return err
	}
	retired, err := reader.RetiredNames(ctx, tx)
	switch {
	case err != nil:
		return err
	case act == "drop" && a.Subscription == "":
		return errors.New("name the subscription")
	case act == "drop" && !retired[a.Subscription]:
		return fmt.Errorf("%s is not removed: the program that ran last has it, and handles what is open itself; remove it from the program first, "+
			"or let its attempts end and drop the dead letters", a.Subscription)
	case act == "retry" && retired[a.Subscription]:
		return fmt.Errorf("%w: the program that ran last has no %s, which would handle the retries: drop them, or run a program with the subscription",
			ErrRetired, a.Subscription)
	}
	return nil
}

const (
	// Only deliveries that were open when the act began.
	openDeliveries = `
SELECT p.subscription, p.key, p.seq FROM pending p JOIN subscriptions s ON s.id = p.subscription JOIN events e ON e.seq = p.seq WHERE `

	recordOpen = `
INSERT INTO records (seq, subscription) SELECT seq, subscription FROM temp.acted
WHERE EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = 'records_new')`
)

// batch applies act to the next selected deliveries, and returns their number.
func (a OpenAct) batch(ctx context.Context, tx *sql.Tx, act string, now int64) (int, error) {
	where, args := a.where(act, now)
	err := run(ctx, tx,
		row.SQL("CREATE TEMP TABLE IF NOT EXISTS acted (subscription INTEGER, key TEXT, seq INTEGER)"),
		row.SQL("DELETE FROM temp.acted"),
		row.SQL("INSERT INTO temp.acted "+openDeliveries+where+fmt.Sprintf(" LIMIT %d", ActBatch), args...))
	var n int
	if err == nil {
		err = tx.QueryRowContext(ctx, "SELECT count(*) FROM temp.acted").Scan(&n)
	}
	if err != nil || n == 0 { // an INSERT of no rows would still write the number of the next one
		return 0, err
	}
	var steps []row.Statement
	if act == "retry" {
		steps = append(steps,
			// the owner's clock wrote the time of the first failure; the clock of this process may be ahead
			row.SQL("UPDATE pending SET due_at = min(?, iif(failed_at > 0, failed_at, due_at)) WHERE (subscription, key, seq) IN (SELECT subscription, key, seq FROM temp.acted)", now),
			row.SQL(recordOpen))
	} else {
		steps = append(steps,
			row.SQL("UPDATE deliveries SET outcome = 'dropped', error = ? WHERE (seq, subscription) IN (SELECT seq, subscription FROM temp.acted)", a.Reason),
			row.SQL("UPDATE dead_letters SET status = 'dropped' WHERE status = 'replaying' AND (subscription, seq) IN (SELECT subscription, seq FROM temp.acted)"),
			row.SQL("DELETE FROM pending WHERE (subscription, key, seq) IN (SELECT subscription, key, seq FROM temp.acted)"))
	}
	steps = append(steps, row.SQL("INSERT INTO open_acts (at, actor, act, seq, subscription, reason) SELECT ?, ?, ?, seq, subscription, ? FROM temp.acted",
		now, a.Actor, act, a.Reason))
	return n, run(ctx, tx, steps...)
}

func run(ctx context.Context, tx *sql.Tx, steps ...row.Statement) error {
	for _, s := range steps {
		if _, err := tx.ExecContext(ctx, s.Text, s.Args...); err != nil {
			return err
		}
	}
	return nil
}

// where returns the conditions of a and their arguments.
func (a OpenAct) where(act string, now int64) (string, []any) {
	conditions, args := []string{"p.state IN ('retrying', 'blocked')", "s.retired_at IS NOT NULL"}, []any{}
	if act == "retry" {
		conditions, args = []string{"p.state = 'retrying'", "s.retired_at IS NULL", "p.due_at > ?"}, []any{now}
	}
	for column, value := range map[string]string{"s.name": a.Subscription, "e.type": a.Type, "e.key": a.Key, "e.id": a.Event} {
		if value != "" {
			conditions, args = append(conditions, column+" = ?"), append(args, value)
		}
	}
	return strings.Join(conditions, " AND "), args
}
