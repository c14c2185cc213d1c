package acts

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// ErrNotDead: a dead letter that was replayed or dropped before.
var ErrNotDead = errors.New("sqlite: dead letter is not dead any more")

// ErrObserver: the journal is that of an observer, which decides nothing.
var ErrObserver = errors.New("sqlite: journal of an observer")

// ErrRetired: the subscription is that of a program that ran before, and the one that ran last does not have it.
var ErrRetired = errors.New("sqlite: subscription is removed")

// Act says what a person does with which dead letters, and why.
type Act struct {
	Actor  string                  // who; defaults to the user of the operating system
	Reason string                  // why, for the record
	Select reader.DeadLetterFilter // which ones. Those with IDs must all be dead; otherwise only those that are dead are meant

	// Left, when set, is called with each removed subscription whose dead letters a Replay without IDs leaves as they
	// are, and with their number: no program would take them up.
	Left func(subscription string, letters int)

	// Each, when set, is called with the dead letters that are acted on, batch by batch, as soon as a batch is durable.
	// The act then returns none: however many there are, they take no memory.
	Each func([]journal.DeadLetter)
}

// Replay gives dead letters of the journal at path another chance, with the subscription that failed only: each takes
// its place by age among what is open for its key. It may be called while a process runs on the journal, which takes
// them up within Config.ForeignCheck; otherwise the next process does. It returns those that it replays.
//
// With IDs it is all or nothing: an ErrNotFound when there is no such dead letter, an ErrNotDead when one was acted
// on before, an ErrRetired when nobody would run it. Without them it goes in batches, each of which is durable, so
// that publishers need not wait: on an error, those that it returns are replayed. It returns them without the data of
// their events. On the journal of an observer it is an ErrObserver, which says where to do it.
func Replay(ctx context.Context, path string, a Act) ([]journal.DeadLetter, error) {
	return a.on(ctx, path, replaying)
}

// Drop gives dead letters up for good, and lets their keys go on where they were parked. In everything else it is like
// Replay, but that subscriptions may be removed.
func Drop(ctx context.Context, path string, a Act) ([]journal.DeadLetter, error) {
	return a.on(ctx, path, dropping)
}

// openForActs opens a connection on which people act beside the owner of the journal.
func openForActs(ctx context.Context, path string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return file.OpenExisting(ctx, path, file.ActDSN(path))
}

// on does v to the dead letters that are selected, on a connection of its own.
func (a Act) on(ctx context.Context, path string, v verb) (_ []journal.DeadLetter, err error) {
	db, err := openForActs(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	a.Actor = cmp.Or(a.Actor, currentUser())
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

// tell hands letters to Each where that is set, and otherwise returns them.
func (a Act) tell(letters []journal.DeadLetter) []journal.DeadLetter {
	if a.Each == nil {
		return letters
	}
	if len(letters) > 0 {
		a.Each(letters)
	}
	return nil
}

// mustRun refuses letters of subscriptions that are removed.
func mustRun(ctx context.Context, q row.Queryer, letters []journal.DeadLetter) error {
	retired, err := reader.RetiredNames(ctx, q)
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range letters {
		if retired[l.Subscription] {
			errs = append(errs, fmt.Errorf("%w: nobody would handle dead letter %d, for the program that ran last has no %s: drop it, or run a program that has it",
				ErrRetired, l.ID, l.Subscription))
		}
	}
	return errors.Join(errs...)
}

// selectDead returns what f selects, all of it dead.
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

// mustDecide refuses a journal on which nothing is decided, and says where what f selects is. What an observer itself
// did not get can be dropped there.
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
	return fmt.Errorf("%w, which only looks on: name, with --journal, that of the deployable which runs %s; a dead letter has another number there, which the command 'dlq list' shows",
		ErrObserver, runs)
}

// currentUser names who runs this program.
func currentUser() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}
