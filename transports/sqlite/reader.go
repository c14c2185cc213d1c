package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/troupebus/troupe/transports/sqlite/internal/reader"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/schema"
	"github.com/troupebus/troupe/transports/sqlite/internal/still"
)

// OpenReader opens the journal at path for reading. It creates no journal and takes no lock: the owner neither
// notices nor waits. It also opens a journal that cannot be written: of another user, on a file system that is
// read-only or full. Errors say what to do; errors.Is tells fs.ErrNotExist and ErrNewer apart. Whoever opens it
// closes it.
func OpenReader(ctx context.Context, path string) (*Reader, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	db, err := openExisting(ctx, path, readDSN(path, "rw"))
	if err != nil && still.CannotWrite(err) {
		first := err
		if db, err = openExisting(ctx, path, readDSN(path, "ro")); err != nil && still.CannotWrite(err) {
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
	return reader.New(path, func(ctx context.Context, fn func(*sql.Tx) error) error { return view(ctx, db, fn) }, db.Close), nil
}

// Reader returns a reader on j's own connections: what it reports is durable. It ends with j.
func (j *Journal) Reader() *Reader {
	return reader.New(j.path, j.View, func() error { return nil })
}

// openExisting opens the file at path, an absolute one, and makes sure that it is a journal that this program
// understands.
func openExisting(ctx context.Context, path, dsn string) (*sql.DB, error) {
	fail := func(err error) error { return fmt.Errorf("open %s: %w", path, row.Explain(err)) }
	if err := mustExist(path); err != nil {
		return nil, fail(err)
	}
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return nil, fail(err)
	}
	if err := schema.Check(ctx, db); err != nil {
		return nil, errors.Join(fail(err), db.Close())
	}
	return db, nil
}

// mustExist refuses a path at which there is no journal to read.
func mustExist(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: there is no journal yet: check the path, or let the program run on it first", fs.ErrNotExist)
	}
	return checkFile(path)
}
