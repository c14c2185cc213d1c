package sqlite_test

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/transports/sqlite"
)

func wantOpenError(t *testing.T, path string, is error, parts ...string) {
	t.Helper()
	j, err := sqlite.Open(t.Context(), path, sqlite.Config{})
	if err == nil {
		_ = j.Close()
		t.Fatal("opened")
	}
	if is != nil && !errors.Is(err, is) {
		t.Errorf("%v is not %v", err, is)
	}
	for _, p := range append(parts, path) {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not say %q", err, p)
		}
	}
}

// wantAlone wants no file beside the one at path, which was refused.
func wantAlone(t *testing.T, path string) {
	t.Helper()
	if files := MustReadFolder(t, filepath.Dir(path)); len(files) != 1 {
		t.Errorf("there are %d files, want only %s", len(files), filepath.Base(path))
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		wantOpenError(t, t.TempDir(), nil, "is a directory", "journal.db")
	})
	t.Run("no folder", func(t *testing.T) {
		t.Parallel()
		wantOpenError(t, filepath.Join(t.TempDir(), "missing", "j.db"), nil, "does not exist: create it")
	})
	t.Run("not a database", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "j.db")
		MustWrite(t, path, []byte(strings.Repeat("this is a text file\n", 100)))
		wantOpenError(t, path, nil, "not an SQLite database", "name another path")
		wantAlone(t, path)
	})
	t.Run("another application", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "j.db")
		MustExec(t, path, "PRAGMA application_id = 252006675")
		wantOpenError(t, path, nil, "another application")
		wantAlone(t, path)
	})
	t.Run("another application without an id", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "j.db")
		MustExec(t, path, "CREATE TABLE migrations (version INTEGER)")
		was, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		wantOpenError(t, path, nil, "another application", "name another path")
		wantAlone(t, path)
		if is, err := os.ReadFile(path); err != nil || !bytes.Equal(is, was) {
			t.Errorf("the database was changed: %v", err)
		}
	})
	t.Run("a dump of a journal", func(t *testing.T) {
		t.Parallel()
		path := MustJournal(t)
		MustExec(t, path, "PRAGMA application_id = 0")
		MustOpen(t, path, sqlite.Config{})
	})
	t.Run("newer", func(t *testing.T) {
		t.Parallel()
		path := MustJournal(t)
		MustExec(t, path, "INSERT INTO migrations VALUES ('journal', 'schema/9999_future.sql', 'x', 0)")
		if err := os.Remove(lockPathOf(path)); err != nil {
			t.Fatal(err)
		}
		wantOpenError(t, path, sqlite.ErrNewer, "9999_future.sql", "use the newer program")
		wantAlone(t, path)
	})
	t.Run("corrupt", func(t *testing.T) {
		t.Parallel()
		path := MustJournal(t)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := 100; i < len(b); i++ { // the header stays, everything else is noise
			b[i] = byte(i * 7)
		}
		MustWrite(t, path, b)
		wantOpenError(t, path, nil, "damaged", ".recover")
	})
	t.Run("in use", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "j.db")
		MustOpen(t, path, sqlite.Config{})
		wantOpenError(t, path, sqlite.ErrInUse, "held by process", "since", "stop it, or name another journal")
		if owned, who := sqlite.Owned(path); !owned || !strings.Contains(who, "held by process") {
			t.Errorf("Owned: %v %q", owned, who)
		}
	})
	t.Run("config", func(t *testing.T) {
		t.Parallel()
		_, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "j.db"), sqlite.Config{Synchronous: "sometimes", Group: -1})
		if err == nil || !strings.Contains(err.Error(), "Synchronous") || !strings.Contains(err.Error(), "Group") {
			t.Errorf("error %v does not name both fields", err)
		}
	})
}

// A file that cannot be written: on a file system that is mounted for reading, since root may write anything else.
func TestOpenReadOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "j.db")
	j, err := sqlite.Open(t.Context(), path, sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if out, err := exec.Command("mount", "--bind", "-o", "ro", dir, dir).CombinedOutput(); err != nil {
			t.Skipf("needs a read-only mount, which this machine refuses: %s", out)
		}
		defer func() {
			if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
				t.Errorf("umount: %s", out)
			}
		}()
	} else if err := errors.Join(os.Chmod(path, 0o444), os.Chmod(lockPathOf(path), 0o444), os.Chmod(dir, 0o555)); err != nil {
		t.Fatal(err)
	} else {
		defer func() { _ = os.Chmod(dir, 0o755) }()
	}
	_, err = sqlite.Open(t.Context(), path, sqlite.Config{})
	if err == nil {
		t.Fatal("opened")
	}
	if !strings.Contains(err.Error(), "cannot be written") && !strings.Contains(err.Error(), "read-only") && !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("error %q does not say that it cannot be written", err)
	}
}

func lockPathOf(path string) string { return path + ".lock" }

// A path with everything that a URI would take for its own.
func TestOpenOddPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "100% odd?#&= näme")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	j := MustOpen(t, filepath.Join(dir, "j b.db"), sqlite.Config{})
	if err := j.Publisher().Publish("t", message.NewMessage("1", []byte("x"))); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "j b.db")); err != nil {
		t.Error(err)
	}
}

// MustJournal makes a closed journal.
func MustJournal(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "j.db")
	j, err := sqlite.Open(tb.Context(), path, sqlite.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	if err := j.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

// MustExec runs SQL on the file past the journal.
func MustExec(tb testing.TB, path, query string, args ...any) {
	tb.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(tb.Context(), query, args...); err != nil {
		tb.Fatal(err)
	}
}

// MustWrite writes a file.
func MustWrite(tb testing.TB, path string, b []byte) {
	tb.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		tb.Fatal(err)
	}
}
