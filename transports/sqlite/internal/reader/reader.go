package reader

import (
	"context"
	"database/sql"
	"errors"
)

// Reader reads a journal, also one that another process owns and writes. It waits for nobody and changes nothing.
// All methods are safe for concurrent use; each sees the journal at one instant.
type Reader struct {
	path  string
	view  func(context.Context, func(*sql.Tx) error) error
	close func() error
}

// New returns a reader of the journal at path, an absolute one. view runs a function in a read-only transaction,
// close closes the connections.
func New(path string, view func(context.Context, func(*sql.Tx) error) error, close func() error) *Reader {
	return &Reader{path, view, close}
}

// Close closes a reader of OpenReader. Close leaves the reader of a Journal open.
func (r *Reader) Close() error { return r.close() }

// Path is the absolute path of the journal's file.
func (r *Reader) Path() string { return r.path }

// View runs fn in a read-only transaction: a snapshot that does not wait for the writer. While it is open, the
// journal's log on disk cannot start over: keep it short.
func (r *Reader) View(ctx context.Context, fn func(*sql.Tx) error) error { return r.view(ctx, fn) }

// ErrNotFound: the journal has nothing of that id or key.
var ErrNotFound = errors.New("sqlite: not found")
