package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/still"
)

// ErrNotFound: the journal has nothing of that id or key.
var ErrNotFound = errors.New("sqlite: not found")

// Reader reads a journal, also one that another process owns and writes. It waits for nobody and changes nothing.
// All methods are safe for concurrent use; each sees the journal at one instant.
type Reader struct {
	path  string
	db    *sql.DB
	owner *Journal     // that it belongs to; nil where it has its own connections
	still *still.Files // what must not change meanwhile; nil where SQLite sees to that
}

// OpenReader opens the journal at path for reading. It creates no journal and takes no lock: the owner neither notices
// nor waits. It also opens a journal that cannot be written: of another user, on a file system that is read-only or full. Errors say
// what to do; errors.Is tells fs.ErrNotExist and ErrNewer apart. Whoever opens it closes it.
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
	return &Reader{path: path, db: db}, nil
}

// Reader returns a reader on j's own connections: what it reports is durable. It ends with j.
func (j *Journal) Reader() *Reader { return &Reader{path: j.path, db: j.views, owner: j} }

// Close closes a reader of OpenReader. That of a Journal it leaves alone.
func (r *Reader) Close() error {
	if r.owner != nil {
		return nil
	}
	return r.db.Close()
}

// Path is the absolute path of the journal's file.
func (r *Reader) Path() string { return r.path }

// View runs fn in a read-only transaction: a snapshot that does not wait for the writer. While it is open, the
// journal's log on disk cannot start over: keep it short.
func (r *Reader) View(ctx context.Context, fn func(*sql.Tx) error) error {
	if r.owner != nil {
		return r.owner.View(ctx, fn)
	}
	if r.still != nil {
		return viewStill(ctx, r.still, r.db, fn)
	}
	return view(ctx, r.db, fn)
}

// openExisting opens the file at path, an absolute one, and makes sure that it is a journal that this program understands.
func openExisting(ctx context.Context, path, dsn string) (*sql.DB, error) {
	fail := func(err error) error { return fmt.Errorf("open %s: %w", path, row.Explain(err)) }
	if err := mustExist(path); err != nil {
		return nil, fail(err)
	}
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return nil, fail(err)
	}
	if err := checkJournal(ctx, db); err != nil {
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

// checkJournal makes sure that db is a journal with the schema of this program.
func checkJournal(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // back to the pool
	var id int64
	if err := conn.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	if id != applicationID {
		return fmt.Errorf("it is not a journal (application id %#x where %#x is expected): name another path", id, applicationID)
	}
	var begun int
	if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = 'migrations'").Scan(&begun); err != nil {
		return err
	}
	var applied map[string]string
	if begun > 0 {
		all, err := appliedMigrations(ctx, conn)
		if err != nil {
			return err
		}
		applied = all[journalSchema]
	}
	known, err := fs.Glob(schemaFS, "schema/*.sql")
	if err != nil {
		return err
	}
	for _, name := range known {
		if _, ok := applied[name]; !ok {
			return fmt.Errorf("it lacks %s: let this version of the program run on it once", name)
		}
		delete(applied, name)
	}
	for name := range applied {
		return fmt.Errorf("%w: it has %s, which this program does not know: use the newer program", ErrNewer, name)
	}
	return nil
}
