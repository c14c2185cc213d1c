package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"

	"github.com/mattn/go-sqlite3"
)

// cacheKiB bounds the page cache of each connection. The working set of a journal is the right-hand edge of its
// trees: measured, a larger cache made nothing faster.
const cacheKiB = 8 << 10

// dsn names the file with the pragmas in it. They belong there, and nowhere else: set on one connection of a pool they
// are missing on the next, and a name without its underscore is ignored without an error, so that Open reads them back.
func dsn(path string, params url.Values) string {
	escaped := (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
	return "file:" + escaped + "?" + params.Encode()
}

func writeDSN(path string, c Config) string {
	v := url.Values{
		"_synchronous":  {synchronous[c.Synchronous]},
		"_txlock":       {"immediate"},
		"_busy_timeout": {strconv.FormatInt(c.BusyTimeout.Milliseconds(), 10)},
		"_foreign_keys": {"1"},
		"_cache_size":   {strconv.Itoa(-cacheKiB)},
	}
	if c.Fence == nil { // an authorizer is asked when a statement is prepared: a kept one would pass unasked
		v.Set("_stmt_cache_size", "256")
	}
	return dsn(path, v)
}

// readDSN opens the file for reading. The mode is "rw" where that is possible: the log needs its -shm file beside it
// even for reading.
func readDSN(path, mode string) string {
	return dsn(path, readParams(mode))
}

func readParams(mode string) url.Values {
	return url.Values{
		"mode":             {mode},
		"_query_only":      {"1"},
		"_txlock":          {"deferred"},
		"_busy_timeout":    {"5000"},
		"_cache_size":      {strconv.Itoa(-cacheKiB / 4)},
		"_stmt_cache_size": {"64"},
	}
}

// checkPragmas reads back what the DSN asked for.
func checkPragmas(ctx context.Context, c *sql.Conn, cfg Config) error {
	want := [][2]string{
		{"journal_mode", "wal"}, {"foreign_keys", "1"},
		{"synchronous", map[string]string{"NORMAL": "1", "OFF": "0"}[synchronous[cfg.Synchronous]]},
		{"busy_timeout", strconv.FormatInt(cfg.BusyTimeout.Milliseconds(), 10)},
	}
	for _, p := range want {
		var got string
		if err := c.QueryRowContext(ctx, "PRAGMA "+p[0]).Scan(&got); err != nil {
			return fmt.Errorf("read pragma %s: %w", p[0], err)
		}
		if got != p[1] {
			return fmt.Errorf("pragma %s is %q where %q was asked for: this file system may not support it (WAL does not work over a network)", p[0], got, p[1])
		}
	}
	return nil
}

// stmt is a prepared statement kept on the write connection, beneath database/sql: a third of the cost of the same
// statement through it (docs/decisions/0002). Only the writer's goroutine uses it.
type stmt struct {
	s    *sqlite3.SQLiteStmt
	args []driver.NamedValue
}

func prepare(c *sqlite3.SQLiteConn, query string) (*stmt, error) {
	s, err := c.Prepare(query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	st := &stmt{s: s.(*sqlite3.SQLiteStmt)}
	st.args = make([]driver.NamedValue, s.NumInput())
	for i := range st.args {
		st.args[i].Ordinal = i + 1
	}
	return st, nil
}

// exec binds args (int64, string, []byte, or nil) and returns the rows changed and the last rowid.
func (s *stmt) exec(args ...any) (changed, rowid int64, err error) {
	for i, a := range args {
		s.args[i].Value = a
	}
	res, err := s.s.ExecContext(context.Background(), s.args[:len(args)])
	if err != nil {
		return 0, 0, err
	}
	changed, _ = res.RowsAffected() // the driver's own result: neither call can fail
	rowid, _ = res.LastInsertId()
	return changed, rowid, nil
}

// int64 steps a statement that yields one number.
func (s *stmt) int64() (int64, error) {
	rows, err := s.s.QueryContext(context.Background(), nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	dest := make([]driver.Value, 1)
	if err := rows.Next(dest); err != nil {
		return 0, err
	}
	n, _ := dest[0].(int64)
	return n, nil
}
