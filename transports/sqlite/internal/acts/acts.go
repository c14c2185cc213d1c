package acts

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/user"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// ErrNotDead: the dead letter was replayed or dropped before.
var ErrNotDead = errors.New("sqlite: dead letter is not dead any more")

// ErrObserver: the journal is an observer's, and takes no decisions.
var ErrObserver = errors.New("sqlite: journal of an observer")

// ErrBooks: the rows of the journal contradict each other.
var ErrBooks = errors.New("sqlite: the journal's books are wrong")

// ErrRetired: the program that ran last does not have the subscription.
var ErrRetired = errors.New("sqlite: subscription is removed")

// Act is a decision of a person about dead letters.
type Act struct {
	Actor  string                  // user name; defaults to the user of the operating system
	Reason string                  // for the record
	Select reader.DeadLetterFilter // with IDs, all must be dead; without, only the dead ones are selected

	// Left, if set, is called with each removed subscription whose dead letters a Replay without IDs skips, and with their
	// number.
	Left func(subscription string, letters int)

	// Each, if set, is called with each batch of dead letters once the batch is durable. The act then returns no dead
	// letters, and needs little memory.
	Each func([]journal.DeadLetter)
}

// Replay gives dead letters of the journal at path another attempt by the subscription that failed. Each dead letter
// keeps its position by age among the open events of its key. A running process takes the dead letters up within
// Config.ForeignCheck, otherwise the next process does. Replay returns the replayed dead letters.
//
// With IDs, Replay changes all or none. The error is an ErrNotFound for an unknown ID, an ErrNotDead for a dead letter
// that was replayed or dropped before, and an ErrRetired for a removed subscription. Without IDs, Replay works in
// durable batches, so publishers need not wait, and returns dead letters without event data: on an
// error, the returned ones are replayed. On an observer's journal the error is an ErrObserver, and names the right
// journal.
func Replay(ctx context.Context, path string, a Act) ([]journal.DeadLetter, error) {
	return a.on(ctx, path, replaying)
}

// Drop gives dead letters up for good, and unblocks parked keys. Drop works like Replay, also for
// removed subscriptions.
func Drop(ctx context.Context, path string, a Act) ([]journal.DeadLetter, error) {
	return a.on(ctx, path, dropping)
}

// openForActs opens a connection for a person's act, beside the owner of the journal.
func openForActs(ctx context.Context, path string) (*sql.DB, error) {
	path, err := file.ResolveToOpen(path)
	if err != nil {
		return nil, err
	}
	db, err := file.OpenForActs(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := file.CheckWhole(ctx, db, path); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, row.Explain(err)), db.Close())
	}
	return db, nil
}

// on applies v to the selected dead letters, on a connection of its own.
func (a Act) on(ctx context.Context, path string, v verb) (_ []journal.DeadLetter, err error) {
	db, err := openForActs(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	a.Actor = ActorOf(a.Actor)
	if len(a.Select.IDs) == 0 && (a.Select.Status == "" || a.Select.Status == journal.LetterDead) {
		return a.inBatches(ctx, db, v)
	}
	var letters []journal.DeadLetter
	err = file.Transact(ctx, db, func(tx *sql.Tx) error {
		if err := mustDecide(ctx, tx, v.name, a.Select); err != nil {
			return err
		}
		if letters, err = selectDead(ctx, tx, a.Select); err != nil {
			return err
		}
		if v.runs {
			if err := mustRun(ctx, tx, letters); err != nil {
				return err
			}
		}
		return v.do(ctx, tx, a, letters)
	})
	if err != nil {
		return nil, v.explain(err)
	}
	return a.tell(letters), nil
}

// tell passes letters to a.Each, or returns them without a.Each.
func (a Act) tell(letters []journal.DeadLetter) []journal.DeadLetter {
	if a.Each == nil {
		return letters
	}
	if len(letters) > 0 {
		a.Each(letters)
	}
	return nil
}

// mustRun refuses dead letters of removed subscriptions.
func mustRun(ctx context.Context, q row.Queryer, letters []journal.DeadLetter) error {
	retired, err := reader.RetiredNames(ctx, q)
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range letters {
		if retired[l.Subscription] {
			errs = append(errs, fmt.Errorf("%w: dead letter %d would not be handled, because the program that ran last has no %s: drop the dead letter, or run a program with the subscription",
				ErrRetired, l.ID, l.Subscription))
		}
	}
	return errors.Join(errs...)
}

// selectDead returns the dead letters that f selects, and an error unless all are dead.
func selectDead(ctx context.Context, tx *sql.Tx, f reader.DeadLetterFilter) ([]journal.DeadLetter, error) {
	if len(f.IDs) == 0 && f.Status == "" {
		f.Status = journal.LetterDead
	}
	letters, err := reader.ReadDeadLetters(ctx, tx, f)
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
			errs = append(errs, fmt.Errorf("%w: there is no dead letter %d that fits", reader.ErrNotFound, id))
		}
	}
	if len(letters) == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("%w: no dead letter fits", reader.ErrNotFound))
	}
	return letters, errors.Join(errs...)
}

// mustDecide refuses the journal of an observer, and names the subscriptions of the selected dead letters. An
// observer's own dead letters can be dropped.
func mustDecide(ctx context.Context, tx *sql.Tx, act string, f reader.DeadLetterFilter) error {
	if is, err := reader.Observes(ctx, tx); err != nil || !is {
		return err
	}
	if len(f.IDs) == 0 && f.Status == "" {
		f.Status = journal.LetterDead
	}
	where, args := reader.LetterConditions(f)
	var names []string
	query := row.SQL("SELECT name FROM subscriptions WHERE id IN (SELECT DISTINCT l.subscription"+reader.FromLetters+where+") ORDER BY name", args...)
	err := row.Each(ctx, tx, query, func(rows *sql.Rows) error {
		names = append(names, "")
		return rows.Scan(&names[len(names)-1])
	})
	if err != nil {
		return err
	}
	if act == "drop" && len(names) == 1 && names[0] == reader.OwnIngest {
		return nil
	}
	runs := "their subscription"
	if len(names) > 0 {
		runs = strings.Join(names, ", ")
	}
	return fmt.Errorf("%w, which only looks on: name the journal of the deployable that runs %s, where a dead letter has another number",
		ErrObserver, runs)
}

// ActorOf returns actor, or the name of the operating system's user.
func ActorOf(actor string) string { return cmp.Or(actor, currentUser()) }

// currentUser returns the name of the operating system's user.
func currentUser() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}
