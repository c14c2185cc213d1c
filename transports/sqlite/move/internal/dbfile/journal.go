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

// refresh has the journal at path recovered, brought to this program's schema, and settled.
func Refresh(ctx context.Context, path string) error {
	if there, err := Exists(path); err != nil || !there {
		return errors.Join(err, fmt.Errorf("move: %w: there is no journal at %s: check the path", fs.ErrNotExist, path))
	}
	j, err := sqlite.Open(ctx, path, sqlite.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	err = j.Do(ctx, journal.Work{Name: "move"}, func(journal.TxFunc) ([]*journal.Event, error) { return nil, nil })
	return errors.Join(err, j.Close())
}

// readable makes sure that there are journals of this program's schema at paths.
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

// locked holds the locks of journals.
type Locks []func() error

func (l *Locks) Take(path string) error {
	release, err := sqlite.Lock(path)
	if err != nil {
		return fmt.Errorf("move: %s: %w", path, err)
	}
	*l = append(*l, release)
	return nil
}

func (l *Locks) Release() error {
	var errs []error
	for _, release := range *l {
		errs = append(errs, release())
	}
	return errors.Join(errs...)
}
