package file_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/mattn/go-sqlite3"

	"github.com/troupebus/troupe/transports/sqlite/internal/file"
)

// The numbers of the marked file and of its copies.
const original, another = 1, 2

// Whatever file a backup is written over, a backup is no torn copy.
func TestMarkBackups(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := mustConn(t, filepath.Join(dir, "a.db"), "CREATE TABLE one (n)", "CREATE TABLE two (n)")
	mustMark(t, source)
	last := source
	for _, name := range []string{"b.db", "c.db", "d.db"} { // each restored from a backup of the one before
		next := mustConn(t, filepath.Join(dir, name))
		mustBackUp(t, last, next)
		wantWhole(t, name, next)
		mustMark(t, next)
		last = next
	}
	nightly := mustConn(t, filepath.Join(dir, "nightly.db"))
	for range 100 {
		mustBackUp(t, last, nightly)
		wantWhole(t, "a nightly backup", nightly)
	}
	seed := filepath.Join(dir, "seed.db")
	mustExec(t, source, "VACUUM INTO '"+seed+"'")
	seeded := mustConn(t, seed)
	wantWhole(t, "a vacuumed copy", seeded)
	mustExec(t, source, "CREATE TABLE three (n)")
	mustExec(t, source, "CREATE TABLE four (n)")
	mustMark(t, source)
	for range 2 {
		mustBackUp(t, source, seeded)
		wantWhole(t, "a backup over an older copy", seeded)
	}
	if err := file.CheckMark(t.Context(), source, another); err == nil {
		t.Error("a plain copy of the marked file is not refused")
	}
}

func mustConn(tb testing.TB, path string, queries ...string) *sql.Conn {
	tb.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := db.Conn(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _, _ = c.Close(), db.Close() })
	for _, q := range queries {
		mustExec(tb, c, q)
	}
	return c
}

func mustExec(tb testing.TB, c *sql.Conn, query string) {
	tb.Helper()
	if _, err := c.ExecContext(tb.Context(), query); err != nil {
		tb.Fatal(err)
	}
}

func mustMark(tb testing.TB, c *sql.Conn) {
	tb.Helper()
	if err := file.SetMark(tb.Context(), c, original, false); err != nil {
		tb.Fatal(err)
	}
}

// mustBackUp writes a backup of the database of from over the database of to.
func mustBackUp(tb testing.TB, from, to *sql.Conn) {
	tb.Helper()
	err := to.Raw(func(dst any) error {
		return from.Raw(func(src any) error {
			b, err := dst.(*sqlite3.SQLiteConn).Backup("main", src.(*sqlite3.SQLiteConn), "main")
			if err != nil {
				return err
			}
			if _, err := b.Step(-1); err != nil {
				return err
			}
			return b.Finish()
		})
	})
	if err != nil {
		tb.Fatal(err)
	}
}

func wantWhole(tb testing.TB, what string, c *sql.Conn) {
	tb.Helper()
	if err := file.CheckMark(tb.Context(), c, another); err != nil {
		tb.Errorf("%s: %v", what, err)
	}
}
