package dbfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// Current reports whether the journal at path has the schema of this program. For a file that Refresh would refuse, and
// for a journal in use, Current returns an error.
func Current(ctx context.Context, path string) (bool, error) {
	if err := mustExist(path); err != nil {
		return false, err
	}
	if owned, by := sqlite.Owned(path); owned {
		return false, fmt.Errorf("open %s: %w: %s: stop it, or name another journal", path, sqlite.ErrInUse, by)
	}
	unreadable := CheckReadable(ctx, path)
	if is, err := IsJournal(path); err != nil || !is || errors.Is(unreadable, sqlite.ErrNewer) {
		return false, errors.Join(err, unreadable)
	}
	return unreadable == nil, nil
}

func mustExist(path string) error {
	if found, err := Exists(path); err != nil || !found {
		return OrErrorf(err, "%w: there is no journal at %s: check the path", fs.ErrNotExist, path)
	}
	return nil
}

// Refresh opens the journal at path as a program does, which recovers it, updates it to the current schema and
// settles unfinished moves, and closes it again.
func Refresh(ctx context.Context, path string) error {
	if err := mustExist(path); err != nil {
		return err
	}
	j, err := sqlite.Open(ctx, path, sqlite.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	err = j.Do(ctx, journal.Work{Name: "move"}, func(journal.TxFunc) ([]*journal.Event, error) { return nil, nil })
	return errors.Join(err, j.Close())
}

// SameProgram refuses two journals of different programs. A journal without a program fits any other.
func SameProgram(ctx context.Context, a, b *File) error {
	const name = "SELECT name FROM main.program"
	nameA, err := a.Texts(ctx, name)
	nameB, wrong := b.Texts(ctx, name)
	if err = errors.Join(err, wrong); err != nil {
		return err
	}
	if len(nameA) > 0 && len(nameB) > 0 && nameA[0] != nameB[0] {
		return fmt.Errorf("%w: %s is a journal of %s, and %s one of %s", sqlite.ErrOtherProgram, a.Path, nameA[0], b.Path, nameB[0])
	}
	return nil
}

// CheckReadable returns an error when a journal at paths is missing, was copied without its log, or has another schema
// than this program.
func CheckReadable(ctx context.Context, paths ...string) error {
	for _, path := range paths {
		r, err := sqlite.OpenReader(ctx, path)
		if err != nil {
			return err
		}
		if err := errors.Join(r.Whole(ctx), r.Close()); err != nil {
			return err
		}
	}
	return nil
}

// Locks holds the locks of journals.
type Locks []func() error

// Take takes the lock of the journal at path.
func (l *Locks) Take(path string) error {
	release, err := sqlite.Lock(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	*l = append(*l, release)
	return nil
}

// Release releases all locks.
func (l *Locks) Release() error {
	var errs []error
	for _, release := range *l {
		errs = append(errs, release())
	}
	return errors.Join(errs...)
}

// SetPrepared sets the move id in the journal at path back to prepared: the journal asks the other journal again.
func SetPrepared(ctx context.Context, path, id string) error {
	f, err := Open(ctx, path, Durable)
	if err != nil {
		return err
	}
	err = f.Run(ctx, Stmt("UPDATE main.moves SET state = 'prepared' WHERE id = ?", id))
	return errors.Join(err, f.Close())
}
