// Package dbfile opens, copies, digests and removes the database files of journals. Package move and its packages
// import it.
package dbfile

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/mattn/go-sqlite3"
)

// The modes of Open. Foreign keys are not enforced while rows move in bulk: they are checked afterwards. After a crash,
// a file that was opened with Volatile is garbage.
var (
	Durable  = url.Values{"mode": {"rw"}, "_txlock": {"immediate"}, "_busy_timeout": {"10000"}, "_synchronous": {"FULL"}, "_foreign_keys": {"0"}}
	Reading  = url.Values{"mode": {"rw"}, "_query_only": {"1"}, "_busy_timeout": {"10000"}}
	Volatile = url.Values{"mode": {"rwc"}, "_journal_mode": {"OFF"}, "_synchronous": {"OFF"}, "_foreign_keys": {"0"}}
)

// connector opens connections with the SQL function digest.
type connector struct {
	driver sqlite3.SQLiteDriver
	dsn    string
}

// Connect implements driver.Connector.
func (c *connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }

// Driver implements driver.Connector.
func (c *connector) Driver() driver.Driver { return &c.driver }

// File is an open database with a single connection, which keeps its transaction from statement to statement.
type File struct {
	Path string
	how  url.Values
	db   *sql.DB
	*sql.Conn
	same func() error // reports a change of the file since Open; nil when the locks of SQLite prevent changes
}

// URI returns the SQLite URI of the file at path.
func URI(path string) string {
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
}

// Open opens the database at path in a mode: Durable, Reading or Volatile.
func Open(ctx context.Context, path string, how url.Values) (*File, error) {
	c := &connector{dsn: URI(path) + "?" + how.Encode()}
	c.driver.ConnectHook = func(conn *sqlite3.SQLiteConn) error {
		return conn.RegisterAggregator("digest", newDigester, true)
	}
	f := &File{Path: path, how: how, db: sql.OpenDB(c)}
	var err error
	if f.Conn, err = f.db.Conn(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), f.db.Close())
	}
	return f, nil
}

// Close rolls back an open transaction and closes the database. A nil File is closed already.
func (f *File) Close() error {
	if f == nil {
		return nil
	}
	err := errors.Join(f.Conn.Close(), f.db.Close())
	if f.same != nil {
		err = errors.Join(f.same(), err)
	}
	return err
}

// Attach attaches the database of other as schema, in the mode of other.
func (f *File) Attach(ctx context.Context, other *File, schema string) error {
	how := url.Values{}
	for _, name := range []string{"mode", "immutable", "vfs"} {
		if v := other.how.Get(name); v != "" {
			how.Set(name, v)
		}
	}
	var steps []Step
	if mode := other.how.Get("_locking_mode"); mode != "" { // must be set before the first read
		steps = append(steps, Stmt("PRAGMA locking_mode = "+mode))
	}
	steps = append(steps, Stmt("ATTACH ? AS "+schema, URI(other.Path)+"?"+how.Encode()))
	return f.Run(ctx, steps...)
}

// Step is a statement with its arguments.
type Step struct {
	query string
	args  []any
}

// Stmt returns the step that executes query with args.
func Stmt(query string, args ...any) Step { return Step{query: query, args: args} }

// Run executes steps in order, up to the first error.
func (f *File) Run(ctx context.Context, steps ...Step) error {
	for _, s := range steps {
		if _, err := f.ExecContext(ctx, s.query, s.args...); err != nil {
			return fmt.Errorf("%s: %w: %.200s", filepath.Base(f.Path), err, s.query)
		}
	}
	return nil
}

// RunAll executes statements in order, up to the first error. ?1 is a JSON array of modules.
func (f *File) RunAll(ctx context.Context, queries []string, modules []string) error {
	for _, query := range queries {
		if err := f.Run(ctx, ofModulesStep(query, modules)); err != nil {
			return err
		}
	}
	return nil
}

// ofModulesStep returns the step for a statement in which ?1, if present, is a JSON array of modules.
func ofModulesStep(query string, modules []string) Step {
	if strings.Contains(query, "?1") {
		return Stmt(query, List(modules))
	}
	return Stmt(query)
}

// Int64 returns a number from the only row of a query; NULL is 0.
func (f *File) Int64(ctx context.Context, query string, args ...any) (n int64, err error) {
	var v sql.NullInt64
	err = f.QueryRowContext(ctx, query, args...).Scan(&v)
	return v.Int64, err
}

// Texts returns the first column of all rows.
func (f *File) Texts(ctx context.Context, query string, args ...any) (all []string, err error) {
	err = f.Each(ctx, Stmt(query, args...), func(rows *sql.Rows) error {
		var s string
		err := rows.Scan(&s)
		all = append(all, s)
		return err
	})
	return all, err
}

// Each calls fn for each row, up to the first error.
func (f *File) Each(ctx context.Context, s Step, fn func(*sql.Rows) error) error {
	rows, err := f.QueryContext(ctx, s.query, s.args...)
	if err != nil {
		return fmt.Errorf("%s: %w: %.200s", filepath.Base(f.Path), err, s.query)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Exists reports whether there is a file at path. A symbolic link counts as a file.
func Exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Remove removes a closed database and the files that SQLite keeps beside it. A missing file is no error.
func Remove(path string) error {
	var errs []error
	for _, name := range append(Beside(path), path) { // the log first: it is of no use alone
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Settle makes a closed database durable under its final name.
func Settle(path, final string) error {
	for _, left := range []string{path + "-wal", path + "-journal"} {
		if found, err := Exists(left); err != nil || found {
			return errors.Join(err, fmt.Errorf("%s is in use by another process: end that process", path))
		}
	}
	if err := syncFile(path); err != nil {
		return err
	}
	if err := os.Rename(path, final); err != nil {
		return err
	}
	return syncFile(filepath.Dir(final))
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// OrErrorf returns err or, when err is nil, an error from the format.
func OrErrorf(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return fmt.Errorf(format, args...)
}

// Sum returns the result of a query for a number of rows and their digest. ?1 is a JSON array of modules.
func (f *File) Sum(ctx context.Context, query string, modules []string) (s Sum, err error) {
	step := ofModulesStep(query, modules)
	err = f.QueryRowContext(ctx, step.query, step.args...).Scan(&s.Rows, ScanDigest(&s))
	return s, err
}

// List returns names as a JSON array, the argument of json_each.
func List(names []string) string {
	b, _ := json.Marshal(names) // names can be encoded
	return string(b)
}

// Quoted returns the names of a database and of the files beside it, quoted for a shell.
func Quoted(path string) (names []string) {
	for _, name := range append(Beside(path), path+".lock", path) {
		if found, err := Exists(name); err == nil && found {
			names = append(names, "'"+strings.ReplaceAll(name, "'", `'\''`)+"'")
		}
	}
	return names
}
