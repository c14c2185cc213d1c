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

// Refresh opens the journal at path as a program does, which recovers it, updates it to the current schema and
// settles unfinished moves, and closes it again.
func Refresh(ctx context.Context, path string) error {
	if found, err := Exists(path); err != nil || !found {
		return errors.Join(err, fmt.Errorf("%w: there is no journal at %s: check the path", fs.ErrNotExist, path))
	}
	j, err := sqlite.Open(ctx, path, sqlite.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	err = j.Do(ctx, journal.Work{Name: "move"}, func(journal.TxFunc) ([]*journal.Event, error) { return nil, nil })
	return errors.Join(err, j.Close())
}

// CheckReadable returns an error when a journal at paths is missing or has another schema than this program.
func CheckReadable(ctx context.Context, paths ...string) error {
	for _, path := range paths {
		r, err := sqlite.OpenReader(ctx, path)
		if err != nil {
			return err
		}
		if err := r.Close(); err != nil {
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
