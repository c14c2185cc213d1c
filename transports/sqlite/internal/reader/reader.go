package reader

import (
	"context"
	"database/sql"
	"errors"
)

// Reader reads a journal, also while another process owns and writes the journal. A reader never waits for the writer
// and changes nothing. All methods are safe for concurrent use; each sees the journal at one instant.
type Reader struct {
	path  string
	view  func(context.Context, func(*sql.Tx) error) error
	close func() error
}

// New returns a reader of the journal at path, an absolute path. view runs a function in a read-only transaction, close
// closes the connections.
func New(path string, view func(context.Context, func(*sql.Tx) error) error, close func() error) *Reader {
	return &Reader{path, view, close}
}

// Close closes a reader of OpenReader. Close leaves the reader of a Journal open.
func (r *Reader) Close() error { return r.close() }

// Path is the absolute path of the journal's file.
func (r *Reader) Path() string { return r.path }

// View runs fn in a read-only transaction, a snapshot. View does not wait for the writer. Keep it short: meanwhile the
// journal's log on disk cannot start over.
func (r *Reader) View(ctx context.Context, fn func(*sql.Tx) error) error { return r.view(ctx, fn) }

// ErrNotFound: the journal has no event, flow or dead letter for an id or key.
var ErrNotFound = errors.New("sqlite: not found")
