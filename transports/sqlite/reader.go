package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"

	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
	"github.com/troupebus/troupe/transports/sqlite/internal/still"
)

// OpenReader opens the journal at path for reading. It creates no journal and takes no lock: the owner is not affected.
// It also opens a journal that cannot be written: of another user, on a read-only or a full file system. The caller
// must close the reader. Errors name the remedy; errors.Is distinguishes fs.ErrNotExist and ErrNewer.
func OpenReader(ctx context.Context, path string) (*Reader, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	db, err := file.OpenForViews(ctx, path, file.ReadDSN(path, "rw"))
	if err != nil && still.CannotWrite(err) {
		first := err
		if db, err = file.OpenForViews(ctx, path, file.ReadDSN(path, "ro")); err != nil && still.CannotWrite(err) {
			var r *Reader
			if r, err = openStill(ctx, path); err == nil {
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
	return reader.New(path, view, db.Close), nil
}

// Reader returns a reader on j's own connections: reads are durable. The reader ends with j.
func (j *Journal) Reader() *Reader {
	return reader.New(j.path, j.View, func() error { return nil })
}
