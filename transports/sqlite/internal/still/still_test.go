package still_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/mattn/go-sqlite3"

	"github.com/troupebus/troupe/transports/sqlite/internal/still"
)

func TestCannotWrite(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		sqlite3.Error{Code: sqlite3.ErrReadonly}:                             true,
		fmt.Errorf("open: %w", sqlite3.Error{Code: sqlite3.ErrCantOpen}):     true,
		sqlite3.Error{Code: sqlite3.ErrFull}:                                 true,
		sqlite3.Error{Code: sqlite3.ErrBusy}:                                 false,
		fmt.Errorf("open: %w", sqlite3.Error{Code: sqlite3.ErrNotADB}):       false,
		errors.New("attempt to write a readonly database, as somebody says"): false,
	} {
		if got := still.CannotWrite(err); got != want {
			t.Errorf("%v: %t", err, got)
		}
	}
}

// The files are looked at as a pair: each kind of change of either shows.
func TestFiles(t *testing.T) {
	t.Parallel()
	write := func(path, text string) func() error {
		return func() error { return os.WriteFile(path, []byte(text), 0o600) }
	}
	for name, c := range map[string]struct {
		log    string
		change func(path string) func() error
		moved  bool
	}{
		"without a log, and nothing":  {"", func(string) func() error { return func() error { return nil } }, false},
		"with a log, and nothing":     {"log", func(string) func() error { return func() error { return nil } }, false},
		"the database becomes longer": {"", func(path string) func() error { return write(path, "longer") }, true},
		"the log becomes longer":      {"log", func(path string) func() error { return write(path+"-wal", "longer") }, true},
		"a log comes":                 {"", func(path string) func() error { return write(path+"-wal", "log") }, true},
		"the log goes":                {"log", func(path string) func() error { return func() error { return os.Remove(path + "-wal") } }, true},
		"the database is another one": {"", func(path string) func() error {
			return func() error { return errors.Join(write(path+".new", "db")(), os.Rename(path+".new", path)) }
		}, true},
	} {
		path := filepath.Join(t.TempDir(), "j.db")
		err := write(path, "db")()
		if c.log != "" {
			err = errors.Join(err, write(path+"-wal", c.log)())
		}
		if err != nil {
			t.Fatal(err)
		}
		f, err := still.Look(path)
		if err != nil {
			t.Fatal(err)
		}
		params := url.Values{}
		if f.Read(params); (params.Get("immutable") == "1") == (c.log != "") || (params.Get("vfs") == "") == (c.log != "") {
			t.Errorf("%s: it is read with %v", name, params)
		}
		if err := c.change(path)(); err != nil {
			t.Fatal(err)
		}
		if err := f.Check(); errors.Is(err, still.ErrMoved) != c.moved {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := still.Look(filepath.Join(t.TempDir(), "none.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no journal: %v", err)
	}
}
