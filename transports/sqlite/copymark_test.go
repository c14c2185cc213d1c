package sqlite_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/mattn/go-sqlite3"

	"github.com/troupebus/troupe/transports/sqlite"
)

// A copy of the database file without its log is not taken for a new journal.
func TestOpenTornCopy(t *testing.T) {
	t.Parallel()
	t.Run("without tables", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "j.db")
		MustExec(t, path, "PRAGMA journal_mode = WAL")
		wantOpenError(t, path, nil, "without any tables", "copy both")
	})
	t.Run("being made", func(t *testing.T) { // by a process that was killed
		t.Parallel()
		path := filepath.Join(t.TempDir(), "j.db")
		MustWrite(t, path+".lock", []byte(`{"pid":1,"making":true}`))
		MustExec(t, path, "PRAGMA journal_mode = WAL")
		MustOpen(t, path, sqlite.Config{})
	})
	t.Run("of a journal in use", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "j.db")
		kill := MustUseInAChild(t, path)
		copied, backup, both := path+".copy", path+".backup", path+".both"
		MustCopy(t, path, copied)
		MustCopy(t, path, both)
		MustCopy(t, path+"-wal", both+"-wal")
		MustExec(t, path, "VACUUM INTO ?", backup)
		wantWhole(t, path, true)
		kill()
		wantWhole(t, copied, false)
		for _, name := range []string{backup, both, path} {
			wantWhole(t, name, true)
		}
		if _, err := sqlite.RetryNow(t.Context(), copied, sqlite.OpenAct{}); err == nil || !strings.Contains(err.Error(), "a copy of a journal that was in use") {
			t.Errorf("an act on the copy: %v", err)
		}
		wantOpenError(t, copied, nil, "a copy of a journal that was in use", "copy both files", "user_version = 0")
		MustExec(t, copied, "PRAGMA user_version = 0")
		for _, name := range []string{copied, backup, both, path} {
			j, err := sqlite.Open(t.Context(), name, sqlite.Config{})
			if err != nil {
				t.Errorf("open %s: %v", name, err)
				continue
			}
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		}
		MustCopy(t, path, path+".closed")
		MustOpen(t, path+".closed", sqlite.Config{})
	})
	t.Run("killed, and read afterwards", func(t *testing.T) {
		t.Parallel()
		path := MustJournal(t)
		MustExec(t, path, "PRAGMA user_version = 77777") // what a process left that was killed, and nobody copied since
		MustExec(t, path, "CREATE TABLE other_table (n INTEGER)")
		MustOpen(t, path, sqlite.Config{})
	})
}

// wantWhole wants a reader, and the check of the reader, to say whether the newest events are missing.
func wantWhole(tb testing.TB, path string, want bool) {
	tb.Helper()
	r, err := sqlite.OpenReader(tb.Context(), path)
	if err != nil {
		tb.Fatal(err)
	}
	whole := r.Whole(tb.Context())
	wrong, err := r.Check(tb.Context())
	if err = errors.Join(err, r.Close()); err != nil || (whole == nil) != want || (len(wrong) == 0) != want {
		tb.Errorf("%s is whole: %v; the check: %v, %v", path, whole, wrong, err)
	}
}

// A backup of a restored journal is whole, too.
func TestOpenBackupOfABackup(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	for range 3 {
		j := MustOpen(t, path, sqlite.Config{})
		backup := path + ".backup"
		MustBackUp(t, path, backup)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		path = backup
	}
	MustOpen(t, path, sqlite.Config{})
}

// MustBackUp copies a database as the command .backup of sqlite3 does.
func MustBackUp(tb testing.TB, from, to string) {
	tb.Helper()
	driver := &sqlite3.SQLiteDriver{}
	src, err := driver.Open(from)
	if err != nil {
		tb.Fatal(err)
	}
	dst, err := driver.Open(to)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := dst.(*sqlite3.SQLiteConn).Backup("main", src.(*sqlite3.SQLiteConn), "main")
	if err == nil {
		_, err = b.Step(-1)
		err = errors.Join(err, b.Finish())
	}
	if err := errors.Join(err, dst.Close(), src.Close()); err != nil {
		tb.Fatal(err)
	}
}

// MustUseInAChild runs another process that has the journal at path in use until kill.
func MustUseInAChild(tb testing.TB, path string) (kill func()) {
	tb.Helper()
	child := exec.CommandContext(tb.Context(), os.Args[0], "-test.run=^TestUseInAChild$")
	child.Env = append(os.Environ(), "TROUPE_TEST_USE="+path) // copying it here would drop SQLite's locks
	in, err := child.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := child.Start(); err != nil {
		tb.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "in use\n" {
		tb.Fatalf("%q %v", line, err)
	}
	return func() {
		if err := child.Process.Kill(); err != nil {
			tb.Fatal(err)
		}
		_, _ = in.Close(), child.Wait() // it was killed
	}
}

// The other process of MustUseInAChild.
func TestUseInAChild(t *testing.T) {
	path := os.Getenv("TROUPE_TEST_USE")
	if path == "" {
		return
	}
	j := MustOpen(t, path, sqlite.Config{})
	err := j.Migrate(t.Context(), "m", fstest.MapFS{"1.sql": {Data: []byte("CREATE TABLE m_one (n INTEGER)")}})
	if err == nil {
		err = j.Publisher().Publish("t", message.NewMessage("1", []byte("x")))
	}
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("in use")
	_, _ = os.Stdin.Read(make([]byte, 1)) // for ever
}

// MustCopy copies a file.
func MustCopy(tb testing.TB, from, to string) {
	tb.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		tb.Fatal(err)
	}
	MustWrite(tb, to, b)
}
