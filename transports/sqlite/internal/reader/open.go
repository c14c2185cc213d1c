package reader

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/still"
)

// Open opens the journal at path for reading, also a journal that cannot be written.
func Open(ctx context.Context, path string) (*Reader, error) {
	path, err := file.ResolveToOpen(path)
	if err != nil {
		return nil, err
	}
	db, err := file.OpenForViews(ctx, path, file.ReadDSN(path, file.ReadMode(path)))
	if err != nil && still.CannotWrite(err) {
		first := err
		if db, err = file.OpenForViews(ctx, path, file.ReadDSN(path, "ro")); err != nil && still.CannotWrite(err) {
			var r *Reader
			if r, err = OpenStill(ctx, path); err == nil {
				return r, nil
			}
		}
		if err != nil {
			err = errors.Join(first, err)
		}
	}
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	view := func(ctx context.Context, fn func(*sql.Tx) error) error { return file.View(ctx, db, fn) }
	return New(path, view, db.Close), nil
}

// OpenStill opens a journal beside which no file can be made.
func OpenStill(ctx context.Context, path string) (*Reader, error) {
	files, err := still.Look(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	params := file.ReadParams("ro")
	files.Read(params)
	db, err := file.OpenForViews(ctx, path, file.DSN(path, params))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	view := func(ctx context.Context, fn func(*sql.Tx) error) error { return viewStill(ctx, files, db, fn) }
	return New(path, view, db.Close), nil
}

// viewStill runs fn as View does. The result counts only if the files are unchanged afterwards.
func viewStill(ctx context.Context, files *still.Files, db *sql.DB, fn func(*sql.Tx) error) error {
	err := file.View(ctx, db, fn)
	switch moved := files.Check(); {
	case errors.Is(moved, still.ErrMoved): // a moved file may have caused err
		return moved
	case moved != nil:
		return errors.Join(err, moved)
	}
	return err
}
