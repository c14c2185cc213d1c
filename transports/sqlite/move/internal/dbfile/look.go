package dbfile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"

	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/still"
)

// Look opens a journal for reading, even where no file can be written beside the journal: the journal of another user,
// or a journal on a file system that is read-only or full. Look then opens the journal as sqlite.OpenReader does, and
// Close returns an error if another process has written meanwhile.
func Look(ctx context.Context, path string) (*File, error) {
	how := maps.Clone(Reading)
	how.Set("mode", file.ReadMode(path))
	f, first := tryToLook(ctx, path, how)
	if first == nil || !still.CannotWrite(first) {
		return f, first
	}
	readOnly := maps.Clone(Reading)
	readOnly.Set("mode", "ro")
	f, err := tryToLook(ctx, path, readOnly)
	if err == nil || !still.CannotWrite(err) {
		return f, err
	}
	files, err := still.Look(path)
	if err != nil {
		return nil, errors.Join(first, err)
	}
	files.Read(readOnly)
	if f, err = tryToLook(ctx, path, readOnly); err != nil {
		return nil, errors.Join(first, err)
	}
	f.same = func() error {
		if err := files.Check(); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	}
	return f, nil
}

// Peek runs fn on the journal at path, opened with Look.
func Peek(ctx context.Context, path string, fn func(*File) error) error {
	f, err := Look(ctx, path)
	if err != nil {
		return err
	}
	return errors.Join(fn(f), f.Close())
}

// tryToLook opens the database and reads from it.
func tryToLook(ctx context.Context, path string, how url.Values) (*File, error) {
	f, err := Open(ctx, path, how)
	if err != nil {
		return nil, err
	}
	if _, err := f.Int64(ctx, "SELECT count(*) FROM main.sqlite_schema"); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), f.Close())
	}
	return f, nil
}
