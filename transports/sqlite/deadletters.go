package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// ErrNotDead: a dead letter that was replayed or dropped before.
var ErrNotDead = errors.New("sqlite: dead letter is not dead any more")

// ErrObserver: the journal is that of an observer, which decides nothing.
var ErrObserver = errors.New("sqlite: journal of an observer")

// Act says what a person does with which dead letters, and why.
type Act struct {
	Actor  string           // who; defaults to the user of the operating system
	Reason string           // why, for the record
	Select DeadLetterFilter // which ones. Those with IDs must all be dead; otherwise only those that are dead are meant
}

// Replay gives dead letters of the journal at path another chance, with the subscription that failed only: each takes
// its place by age among what is open for its key. It may be called while a process runs on the journal, which takes
// them up within Config.ForeignCheck; otherwise the next process does. It returns those that it replays. It is all or
// nothing: an ErrNotFound when there is no such dead letter, an ErrNotDead when one was acted on before. On the journal of an
// observer it is an ErrObserver, which says where to do it.
func Replay(ctx context.Context, path string, a Act) ([]journal.DeadLetter, error) {
	return a.on(ctx, path, verb{"replay", replay})
}

// Drop gives dead letters up for good, and lets their keys go on where they were parked. In everything else it is like
// Replay.
func Drop(ctx context.Context, path string, a Act) ([]journal.DeadLetter, error) {
	return a.on(ctx, path, verb{"drop", drop})
}

// verb is what can be done with a dead letter, by its name in acts.
type verb struct {
	name string
	do   func(context.Context, *sql.Tx, letter) error
}

// on does v to each dead letter that is selected, in one transaction on a connection of its own.
func (a Act) on(ctx context.Context, path string, v verb) (_ []journal.DeadLetter, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	db, err := openExisting(ctx, path, actDSN(path))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if a.Actor == "" {
		a.Actor = currentUser()
	}
	fail := func(err error) error { return fmt.Errorf("sqlite: %s dead letters: %w", v.name, explain(err)) }
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fail(err)
	}
	defer func() { _ = tx.Rollback() }() // a no-op after Commit
	if err := mustDecide(ctx, tx, a.Select); err != nil {
		return nil, fail(err)
	}
	letters, err := selectDead(ctx, tx, a.Select)
	if err != nil {
		return nil, err
	}
	for i := range letters {
		l := letter{DeadLetter: &letters[i], reason: a.Reason}
		if err := v.do(ctx, tx, l); err != nil {
			return nil, fail(err)
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO acts (at, actor, act, dead_letter, reason) VALUES (?, ?, ?, ?, ?)",
			time.Now().UnixMicro(), a.Actor, v.name, l.ID, a.Reason); err != nil {
			return nil, fail(err)
		}
	}
	if err := tx.Commit(); err != nil {
		return nil, fail(err)
	}
	return letters, nil
}

// actDSN is for a connection that writes beside the owner's. What it commits it makes durable itself.
func actDSN(path string) string {
	return dsn(path, url.Values{
		"mode":          {"rw"},
		"_synchronous":  {"FULL"},
		"_txlock":       {"immediate"},
		"_busy_timeout": {"10000"},
		"_foreign_keys": {"1"},
	})
}

// selectDead returns what f selects, all of it dead.
func selectDead(ctx context.Context, tx *sql.Tx, f DeadLetterFilter) ([]journal.DeadLetter, error) {
	if len(f.IDs) == 0 && f.Status == "" {
		f.Status = journal.LetterDead
	}
	letters, err := deadLetters(ctx, tx, f)
	if err != nil {
		return nil, err
	}
	found := map[int64]bool{}
	var errs []error
	for _, l := range letters {
		found[l.ID] = true
		if l.Status != journal.LetterDead {
			errs = append(errs, fmt.Errorf("%w: %d is %s", ErrNotDead, l.ID, l.Status))
		}
	}
	for _, id := range f.IDs {
		if !found[id] {
			errs = append(errs, fmt.Errorf("%w: there is no dead letter %d that fits", ErrNotFound, id))
		}
	}
	if len(letters) == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("%w: no dead letter fits", ErrNotFound))
	}
	return letters, errors.Join(errs...)
}

// mustDecide refuses a journal on which nothing is decided, and says where what f selects is.
func mustDecide(ctx context.Context, tx *sql.Tx, f DeadLetterFilter) error {
	if is, err := Observes(ctx, tx); err != nil || !is {
		return err
	}
	letters, err := deadLetters(ctx, tx, f)
	if err != nil {
		return err
	}
	runs := "their subscription"
	if len(letters) > 0 {
		names := make([]string, len(letters))
		for i, l := range letters {
			names[i] = l.Subscription
		}
		slices.Sort(names)
		runs = strings.Join(slices.Compact(names), ", ")
	}
	return fmt.Errorf("%w, which only looks on: name, with --journal, that of the deployable which runs %s; a dead letter has another number there, which 'troupe dlq list' shows",
		ErrObserver, runs)
}

// letter is a dead letter that is acted on.
type letter struct {
	*journal.DeadLetter
	reason string
}

// replay puts l where a delivery is that waits for its turn: behind nothing but what is older of its key.
func replay(ctx context.Context, tx *sql.Tx, l letter) error {
	state, due := journal.Blocked, int64(0)
	if l.Event.Key == "" { // there is nothing to wait for
		state, due = journal.Retrying, time.Now().UnixMicro()
	}
	if err := l.become(ctx, tx, journal.LetterReplaying, statement{"outcome = ?, attempts = 0", []any{string(state)}}); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `
INSERT INTO pending (subscription, key, seq, state, attempts, due_at)
SELECT id, ?, ?, ?, 0, ? FROM subscriptions WHERE name = ?
ON CONFLICT (subscription, key, seq) DO UPDATE SET state = excluded.state, attempts = 0, due_at = excluded.due_at`,
		l.Event.Key, l.Event.Seq, string(state), due, l.Subscription)
	return err
}

// drop ends l, and releases its key if it was parked.
func drop(ctx context.Context, tx *sql.Tx, l letter) error {
	if err := l.become(ctx, tx, journal.LetterDropped, statement{"outcome = 'dropped', error = ?", []any{l.reason}}); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `
DELETE FROM pending WHERE subscription = (SELECT id FROM subscriptions WHERE name = ?) AND key = ? AND seq = ? AND state = 'parked'`,
		l.Subscription, l.Event.Key, l.Event.Seq)
	return err
}

// become changes the status of l, and with set its delivery.
func (l letter) become(ctx context.Context, tx *sql.Tx, status journal.LetterStatus, set statement) error {
	if _, err := tx.ExecContext(ctx, "UPDATE dead_letters SET status = ? WHERE id = ?", string(status), l.ID); err != nil {
		return err
	}
	res, err := tx.ExecContext(ctx, "UPDATE deliveries SET "+set.query+`
WHERE seq = ? AND subscription = (SELECT id FROM subscriptions WHERE name = ?) AND outcome = 'dead'`, append(set.args, l.Event.Seq, l.Subscription)...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, fmt.Errorf("the delivery of dead letter %d is not dead: the journal's books are wrong, see troupe verify", l.ID))
	}
	l.Status = status
	return nil
}

// currentUser names who runs this program.
func currentUser() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}
