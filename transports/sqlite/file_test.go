package sqlite_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// A journal has one owner, whatever name a process knows its file by.
func TestOneOwnerPerFile(t *testing.T) {
	t.Parallel()
	for name, link := range map[string]func(from, to string) error{
		"symbolic link": os.Symlink,
		"link to the folder": func(from, to string) error {
			return errors.Join(os.Remove(filepath.Dir(to)), os.Symlink(filepath.Dir(from), filepath.Dir(to)))
		},
	} {
		for _, synchronous := range []string{"full", "normal"} {
			t.Run(name+", "+synchronous, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				real, other := filepath.Join(dir, "j.db"), filepath.Join(dir, "other", "j.db")
				if err := os.Mkdir(filepath.Dir(other), 0o755); err != nil {
					t.Fatal(err)
				}
				j, err := sqlite.Open(t.Context(), real, sqlite.Config{Synchronous: synchronous})
				if err != nil {
					t.Fatal(err)
				}
				if err := link(real, other); err != nil {
					t.Skip(err)
				}
				wantOpenError(t, other, sqlite.ErrInUse, "held by process")
				if owned, who := sqlite.Owned(other); !owned || !strings.Contains(who, "held by process") {
					t.Errorf("Owned by the other name: %v %q", owned, who)
				}
				if _, err := sqlite.Lock(other); !errors.Is(err, sqlite.ErrInUse) {
					t.Errorf("Lock by the other name: %v", err)
				}
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				j, err = sqlite.Open(t.Context(), other, sqlite.Config{Synchronous: synchronous})
				if err != nil {
					t.Fatalf("the only owner, by the other name: %v", err)
				}
				defer func() { _ = j.Close() }()
				if want, _ := filepath.EvalSymlinks(real); j.Path() != want {
					t.Errorf("Path is %s, the file is %s", j.Path(), want)
				}
				if found, err := filepath.Glob(other + "?*"); name == "symbolic link" && (err != nil || len(found) > 0) {
					t.Errorf("files beside the link: %v %v", found, err)
				}
			})
		}
	}
}

func TestOpenRefusesNames(t *testing.T) {
	t.Parallel()
	t.Run("hard link", func(t *testing.T) {
		t.Parallel()
		path := MustJournal(t)
		link := filepath.Join(filepath.Dir(path), "other.db")
		if err := os.Link(path, link); err != nil {
			t.Skip(err)
		}
		for _, name := range []string{path, link} {
			wantOpenError(t, name, nil, "has 2 names (hard links)", "remove all names but one")
			if _, err := sqlite.OpenReader(t.Context(), name); err == nil || !strings.Contains(err.Error(), "hard links") {
				t.Errorf("OpenReader of %s: %v", name, err)
			}
			if _, err := sqlite.Lock(name); err == nil || !strings.Contains(err.Error(), "hard links") {
				t.Errorf("Lock of %s: %v", name, err)
			}
		}
	})
	t.Run("link to nothing", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		link := filepath.Join(dir, "j.db")
		if err := os.Symlink(filepath.Join(dir, "mount", "j.db"), link); err != nil {
			t.Skip(err)
		}
		wantOpenError(t, link, fs.ErrNotExist, "symbolic link to a file that does not exist")
		if found, err := os.ReadDir(dir); err != nil || len(found) != 1 {
			t.Errorf("left behind: %v %v", found, err)
		}
	})
	t.Run("links in a loop", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "j.db")
		if err := errors.Join(os.Symlink(path, path+".2"), os.Symlink(path+".2", path)); err != nil {
			t.Skip(err)
		}
		wantOpenError(t, path, nil, "symbolic links form a loop", "name the file itself")
		if _, err := sqlite.OpenReader(t.Context(), path); err == nil || !strings.Contains(err.Error(), path+": its symbolic links") {
			t.Errorf("OpenReader: %v", err)
		}
	})
	t.Run("lock that is a link", func(t *testing.T) {
		t.Parallel()
		path := MustJournal(t)
		precious := filepath.Join(t.TempDir(), "precious")
		MustWrite(t, precious, []byte("precious"))
		if err := errors.Join(os.Remove(path+".lock"), os.Symlink(precious, path+".lock")); err != nil {
			t.Skip(err)
		}
		wantOpenError(t, path, nil, "symbolic link, which is not followed: remove it")
		if b, err := os.ReadFile(precious); err != nil || string(b) != "precious" {
			t.Errorf("the file behind the link is now %q, %v", b, err)
		}
	})
	t.Run("lock that is a folder", func(t *testing.T) {
		t.Parallel()
		path := MustJournal(t)
		if err := errors.Join(os.Remove(path+".lock"), os.Mkdir(path+".lock", 0o755)); err != nil {
			t.Fatal(err)
		}
		wantOpenError(t, path, nil, path+".lock")
	})
}

// What a journal makes is its owner's alone.
func TestNobodyElseReads(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	MustWrite(t, path+".lock", nil) // which an older version made for everybody to read
	j := MustOpen(t, path, sqlite.Config{})
	if err := j.Publisher().Publish("t", message.NewMessage("1", []byte("x"))); err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + end)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has permissions %v", info.Name(), info.Mode().Perm())
		}
	}
}

// A journal that an older version made for everybody to read is told of.
func TestEverybodyMayRead(t *testing.T) {
	t.Parallel()
	path := MustJournal(t)
	for mode, want := range map[os.FileMode]bool{0o644: true, 0o640: false, 0o600: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		told, logger := newLogged()
		j, err := sqlite.Open(t.Context(), path, sqlite.Config{Logger: logger})
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(told.String(), "every user of this machine may read the journal") != want {
			t.Errorf("with %v the log says %q", mode, told)
		}
	}
}

// logged is what a journal has told the operator.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
	line chan struct{} // capacity 1: there is a new one
}

func newLogged() (*logged, *slog.Logger) {
	l := &logged{line: make(chan struct{}, 1)}
	return l, slog.New(slog.NewTextHandler(l, nil))
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.line <- struct{}{}:
	default:
	}
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// wait returns when the log has a line with text in it.
func (l *logged) wait(t *testing.T, text string) {
	t.Helper()
	late := time.After(10 * time.Second)
	for !strings.Contains(l.String(), text) {
		select {
		case <-l.line:
		case <-late:
			t.Fatalf("the log has no %q: %s", text, l)
		}
	}
}

// A journal whose files are moved, removed or replaced acknowledges nothing more, and says so without being asked.
func TestFileGone(t *testing.T) {
	t.Parallel()
	move := func(ends ...string) func(path string) error {
		return func(path string) (err error) {
			for _, end := range ends {
				err = errors.Join(err, os.Rename(path+end, path+end+".away"))
			}
			return err
		}
	}
	for name, act := range map[string]func(path string) error{
		"moved":          move("", "-wal", "-shm"),
		"database alone": move(""),
		"log alone":      move("-wal"),
		"index alone":    move("-shm"),
		"folder moved":   func(path string) error { return os.Rename(filepath.Dir(path), filepath.Dir(path)+".away") },
		"removed": func(path string) error {
			return errors.Join(os.Remove(path), os.Remove(path+"-wal"), os.Remove(path+"-shm"))
		},
		"replaced by copy": replaceByCopy,
	} {
		for _, synchronous := range []string{"full", "normal"} {
			t.Run(name+", "+synchronous, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "d", "j.db")
				if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				told, logger := newLogged()
				c := sqlite.Config{Synchronous: synchronous, Logger: logger}
				if synchronous == "full" {
					c.ForeignCheck = time.Hour // the next acknowledgement notices it by itself
				}
				j, err := sqlite.Open(t.Context(), path, c)
				if err != nil {
					t.Fatal(err)
				}
				publish := func(id string) error { return j.Publisher().Publish("t", message.NewMessage(id, []byte("x"))) }
				if err := publish("before"); err != nil {
					t.Fatal(err)
				}
				if err := act(path); err != nil {
					t.Fatal(err)
				}
				if synchronous != "full" {
					told.wait(t, "the journal's file is gone")
				}
				for i, id := range []string{"1", "2"} {
					outcome := journal.ErrUnavailable
					if i == 0 && synchronous == "full" { // it is committed, and its acknowledgement finds the file gone
						outcome = journal.ErrUnknown
					}
					err := publish(id)
					if !errors.Is(err, sqlite.ErrGone) || !errors.Is(err, outcome) || errors.Is(err, journal.ErrUnknown) && errors.Is(err, journal.ErrUnavailable) {
						t.Errorf("publish %s: %v", id, err)
					}
				}
				if err := j.View(t.Context(), func(*sql.Tx) error { return nil }); !errors.Is(err, sqlite.ErrGone) {
					t.Errorf("view: %v", err)
				}
				after := fileNames(t, filepath.Dir(filepath.Dir(path)))
				if err := j.Close(); !errors.Is(err, sqlite.ErrGone) {
					t.Errorf("close: %v", err)
				}
				if !strings.Contains(told.String(), "the journal's file is gone") {
					t.Errorf("the log does not say it: %s", told)
				}
				if left := fileNames(t, filepath.Dir(filepath.Dir(path))); left != after {
					t.Errorf("closing changed the files from\n%sto\n%s", after, left)
				}
			})
		}
	}
}

func replaceByCopy(path string) error {
	b, err := os.ReadFile(path + "-wal") // never the database itself: closing it would drop SQLite's locks
	return errors.Join(err, os.Rename(path, path+".away"), os.Rename(path+"-wal", path+"-wal.away"),
		os.WriteFile(path, b, 0o600), os.WriteFile(path+"-wal", b, 0o600))
}

func fileNames(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			fmt.Fprintln(&all, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// A lock file that was removed, and a file that was moved, let nobody else in.
func TestSecondOwnerAfterAMove(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(path string) (string, error){
		"lock removed": func(path string) (string, error) { return path, os.Remove(path + ".lock") },
		"moved": func(path string) (string, error) {
			to := filepath.Join(filepath.Dir(path), "moved.db")
			return to, errors.Join(os.Rename(path, to), os.Rename(path+"-wal", to+"-wal"), os.Rename(path+"-shm", to+"-shm"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "j.db")
			j, err := sqlite.Open(t.Context(), path, sqlite.Config{ForeignCheck: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = j.Close() }()
			to, err := act(path)
			if err != nil {
				t.Fatal(err)
			}
			wantOpenError(t, to, sqlite.ErrInUse, "under another name, or its lock file was removed")
			if _, err := sqlite.Lock(to); !errors.Is(err, sqlite.ErrInUse) {
				t.Errorf("Lock: %v", err)
			}
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOpenInAChild$", "-test.v")
			child.Env = append(os.Environ(), "TROUPE_TEST_OPEN="+to)
			if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "2 times in use under another name") {
				t.Errorf("another process: %v %s", err, out)
			}
		})
	}
}

// The other process of TestSecondOwnerAfterAMove.
func TestOpenInAChild(t *testing.T) {
	path := os.Getenv("TROUPE_TEST_OPEN")
	if path == "" {
		return
	}
	_, opened := sqlite.Open(t.Context(), path, sqlite.Config{})
	_, locked := sqlite.Lock(path)
	n := 0
	for _, err := range []error{opened, locked} {
		if errors.Is(err, sqlite.ErrInUse) && strings.Contains(err.Error(), "under another name") {
			n++
		}
	}
	t.Logf("%d times in use under another name (%v; %v)", n, opened, locked)
}
