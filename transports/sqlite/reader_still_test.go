//go:build unix

package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move"
)

// MustLeave returns a folder with a journal of one event, as it is left when its owner is killed (dirty), with the
// log and without the index of that (copied), or when it is closed.
func MustLeave(tb testing.TB, how string) (path string) {
	tb.Helper()
	dir := tb.TempDir()
	j := MustOpen(tb, filepath.Join(tb.TempDir(), "j.db"), sqlite.Config{Synchronous: "normal"})
	defer func() { _ = j.Close() }()
	MustAppend(tb, j, &journal.Event{ID: "1", Type: "t", CorrelationID: "f"})
	ends := map[string][]string{"dirty": {"", "-wal", "-shm"}, "copied": {"", "-wal"}, "closed": {""}}[how]
	if how == "closed" {
		if err := j.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	path = filepath.Join(dir, "j.db")
	for _, end := range ends {
		b, err := os.ReadFile(j.Path() + end)
		if err == nil {
			err = os.WriteFile(path+end, b, 0o444)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return path
}

// MustAppend has e in the journal.
func MustAppend(tb testing.TB, j *sqlite.Journal, e *journal.Event) {
	tb.Helper()
	e.Data, e.Time = []byte("{}"), time.Now()
	err := j.Do(tb.Context(), journal.Work{Name: "test"}, func(journal.TxFunc) ([]*journal.Event, error) { return []*journal.Event{e}, nil })
	if err != nil {
		tb.Fatal(err)
	}
}

// What may be read but not written is read: on a file system that is read-only, or by another user.
func TestReadWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"dirty", "copied", "closed"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			path := MustLeave(t, how)
			for _, d := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
				if err := os.Chmod(d, 0o555); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = os.Chmod(d, 0o755) })
			}
			before := listing(t, filepath.Dir(path))
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestReadAsAnotherUser$", "-test.v")
			child.Env = append(os.Environ(), "TROUPE_READ="+path)
			child.Dir = filepath.Dir(path)
			if os.Getuid() == 0 { // whom no permissions hold back
				child.Path = MustCopyOfMyself(t)
				child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			}
			out, err := child.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "read 1 event") {
				t.Errorf("%v: %s", err, out)
			}
			if after := listing(t, filepath.Dir(path)); after != before {
				t.Errorf("there were %s, now there are %s", before, after)
			}
		})
	}
}

// TestReadAsAnotherUser is run by TestReadWhatCannotBeWritten.
func TestReadAsAnotherUser(t *testing.T) {
	path := os.Getenv("TROUPE_READ")
	if path == "" {
		return
	}
	r, err := sqlite.OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	n := 0
	if err := r.Events(t.Context(), sqlite.EventFilter{}, func(*journal.Event) error { n++; return nil }); err != nil || n != 1 {
		t.Fatalf("%d events, %v", n, err)
	}
	if _, err := r.Stats(t.Context()); err != nil {
		t.Fatal(err)
	}
	if wrong, err := r.Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Fatalf("%v, %v", wrong, err)
	}
	if left, err := move.Leftovers(t.Context(), path); err != nil || len(left) > 0 {
		t.Fatalf("left by moves: %v, %v", left, err)
	}
	if found, err := move.Trespasses(t.Context(), path, []string{"m"}); err != nil || len(found) > 0 {
		t.Fatalf("in the way of a split: %v, %v", found, err)
	}
	if _, err := move.Split(t.Context(), move.Options{Journal: path, Other: filepath.Join(os.TempDir(), "other.db"), Modules: []string{"m"}, DryRun: true}); !errors.Is(err, move.ErrModules) {
		t.Fatalf("count what a split would move: %v", err)
	}
	t.Log("read 1 event")
}

// MustCopyOfMyself puts this test's binary where everybody may run it.
func MustCopyOfMyself(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "troupe")
	if err == nil {
		tb.Cleanup(func() { _ = os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o755)
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(os.Args[0])
	}
	path := filepath.Join(dir, "self")
	if err == nil {
		err = os.WriteFile(path, b, 0o755)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

func listing(tb testing.TB, dir string) string {
	tb.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	names := make([]string, len(all))
	for i, e := range all {
		names[i] = e.Name()
	}
	return strings.Join(names, " ")
}

// Whoever writes while files are read without locks is noticed: what was read may be of two instants.
func TestAWriterIsNoticedWhereNothingIsLocked(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"copied", "closed"} {
		path := MustLeave(t, how)
		r, err := sqlite.OpenReaderWithoutLocks(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		count := func() (n int, err error) {
			err = r.Events(context.Background(), sqlite.EventFilter{}, func(*journal.Event) error { n++; return nil })
			return n, err
		}
		if n, err := count(); n != 1 || err != nil {
			t.Errorf("%s: %d events, %v", how, n, err)
		}
		for _, end := range []string{"", "-wal"} {
			if err := os.Chmod(path+end, 0o600); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		j := MustOpen(t, path, sqlite.Config{Synchronous: "normal"})
		MustAppend(t, j, &journal.Event{ID: "2", Type: "t", CorrelationID: "f"})
		if _, err := count(); err == nil || !strings.Contains(err.Error(), "try again") {
			t.Errorf("%s: somebody wrote, and the reader says %v", how, err)
		}
	}
}

// TestLogStays: whoever closes the journal of a killed owner leaves the log beside the database. In a copy of both
// files, the database without the log would look torn. A reader changes no byte.
func TestLogStays(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	MustUseInAChild(t, path)()
	read := func(path string) error {
		r, err := sqlite.OpenReader(t.Context(), path)
		if err != nil {
			return err
		}
		wrong, err := r.Check(t.Context())
		if len(wrong) > 0 {
			t.Errorf("the check says %v", wrong)
		}
		return errors.Join(err, r.Close())
	}
	for _, c := range []struct {
		name    string
		changes bool
		use     func(path string) error
	}{
		{"a reader", false, read},
		{"a reader by a link", false, func(path string) error {
			return errors.Join(os.Symlink(path, path+".link"), read(path+".link"))
		}},
		{"a look for moves", false, func(path string) error {
			_, err := move.Leftovers(t.Context(), path)
			return err
		}},
		{"an act", true, func(path string) error {
			if _, err := sqlite.RetryNow(t.Context(), path, sqlite.OpenAct{}); !errors.Is(err, sqlite.ErrNotFound) {
				return fmt.Errorf("nothing is to be retried: %w", err)
			}
			return nil
		}},
	} {
		copied := filepath.Join(t.TempDir(), "j.db")
		files := map[string][]byte{}
		for _, end := range []string{"", "-wal"} {
			b, err := os.ReadFile(path + end)
			if err != nil {
				t.Fatal(err)
			}
			files[copied+end] = b
			MustWrite(t, copied+end, b)
		}
		if err := c.use(copied); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for name, was := range files {
			if is, err := os.ReadFile(name); err != nil || !c.changes && !bytes.Equal(is, was) {
				t.Errorf("%s changed %s: %v", c.name, filepath.Base(name), err)
			}
		}
		if j, err := sqlite.Open(t.Context(), copied, sqlite.Config{}); err != nil {
			t.Errorf("after %s: %v", c.name, err)
		} else if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
}
