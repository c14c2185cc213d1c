package move

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
)

// parts are the files in the folders of a move that its killed runs may have left, but for copies of the journal.
func parts(tb testing.TB, o Options) (found []string) {
	tb.Helper()
	for _, path := range []string{o.Journal, o.Other} {
		names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.part*"))
		if err != nil {
			tb.Fatal(err)
		}
		found = append(found, names...)
	}
	return found
}

// TestPartsOfKilledMovesGo kills moves while they build a file. The next run removes what they left, and nothing of others, even where a
// name is much like that of a part.
func TestPartsOfKilledMovesGo(t *testing.T) {
	t.Parallel()
	for act, points := range map[string][]string{"split": {"copied", "built"}, "merge": {"copied"}} {
		for _, point := range points {
			t.Run(act+" "+point, func(t *testing.T) {
				t.Parallel()
				d := mustSetUp(t, act)
				d.Die = point
				var letters []string
				for _, path := range []string{d.Options.Journal, d.Options.Other} {
					letters = append(letters, path+".part", path+".part-letter", path+".part-0123456789abcdef", path+".before-0123456789abcdef.part")
				}
				for _, path := range letters {
					if err := os.WriteFile(path, []byte("a letter"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				d.mustDie(t)
				if len(parts(t, d.Options)) <= len(letters) {
					t.Fatal("the killed move left nothing: the test is of no use")
				}
				if _, err := d.do(t.Context()); err != nil {
					t.Fatal(err)
				}
				if left := parts(t, d.Options); len(left) != len(letters) {
					t.Errorf("there are %q, want %q", left, letters)
				}
			})
		}
	}
}

// TestNamesOfSQLite refuses to make a journal under a name that SQLite, or a journal, gives to another kind of file.
func TestNamesOfSQLite(t *testing.T) {
	t.Parallel()
	d := mustSetUp(t, "split")
	for _, end := range []string{"-journal", "-wal", "-shm", "-WAL", "-mj12345678", ".lock", ".world", ".before-0123456789abcdef"} {
		o := d.Options
		o.Other = o.Journal + end
		if _, err := Split(t.Context(), o); err == nil || !strings.Contains(err.Error(), "name another one") {
			t.Errorf("split into %s: %v", filepath.Base(o.Other), err)
		}
		if end == ".lock" {
			continue // that of the journal
		}
		if _, err := os.Lstat(o.Other); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after it was refused, %s: %v", o.Other, err)
		}
	}
	for _, path := range dbfile.Beside(d.Options.Other) {
		if err := os.WriteFile(path, []byte("stale"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Split(t.Context(), d.Options); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), path) {
			t.Errorf("split beside %s: %v", path, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Split(t.Context(), d.Options); err != nil {
		t.Error(err)
	}
}

// TestCopiesAreAsPrivate moves modules of a journal that others may not read, or may: the new journal and the copy are like it.
func TestCopiesAreAsPrivate(t *testing.T) {
	t.Parallel()
	for _, mode := range []fs.FileMode{0o600, 0o640, 0o644} {
		d := mustSetUp(t, "split")
		if err := os.Chmod(d.Options.Journal, mode); err != nil {
			t.Fatal(err)
		}
		d.Options.at = func(point string) error {
			if point != "copied" {
				return nil
			}
			for _, path := range parts(t, d.Options) {
				mustBeOf(t, path, 0o600)
			}
			return nil
		}
		p, err := Split(t.Context(), d.Options)
		if err != nil {
			t.Fatal(err)
		}
		mustBeOf(t, p.Other, mode)
		mustBeOf(t, p.Backup, mode)
	}
}

func mustBeOf(tb testing.TB, path string, mode fs.FileMode) {
	tb.Helper()
	info, err := os.Stat(path)
	if err != nil {
		tb.Fatal(err)
	}
	if is := info.Mode().Perm(); is != mode {
		tb.Errorf("%s has mode %v, want %v", filepath.Base(path), is, mode)
	}
}

// TestLeftovers lists what killed and finished moves leave. After the commands that it names, there is nothing left.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	d := mustSetUp(t, "split")
	folder := filepath.Dir(d.Options.Journal)
	d.Options.Other = filepath.Join(folder, "payment.db")
	for _, name := range []string{"empty.db", "shop.db.before-later", "notes.txt"} { // of nobody
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustLeave := func(want ...string) {
		t.Helper()
		found, err := Leftovers(t.Context(), d.Options.Journal)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range found {
			if i >= len(want) || !strings.Contains(l.What, want[i]) || l.Bytes == 0 || !strings.HasPrefix(l.Do, "rm ") {
				t.Errorf("unexpected: %+v", l)
			}
		}
		if len(found) < len(want) {
			t.Errorf("there are %+v, want %q", found, want)
		}
	}
	mustLeave()
	d.Die = "built"
	d.mustDie(t)
	mustLeave("under construction", "a copy of the journal, made for a move that did not take place")
	d.Die = "renamed"
	d.mustDie(t)
	mustLeave("one half of a split of payment that did not take place", "did not take place", "did not take place")
	p, err := d.do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(filepath.Join(folder, "notes.txt")), os.Remove(filepath.Join(folder, "empty.db"))); err != nil {
		t.Fatal(err)
	}
	found, err := Leftovers(t.Context(), d.Options.Journal)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range found {
		if l.Path == p.Backup && !strings.Contains(l.What, "the copy of the journal before the split of payment at ") {
			t.Errorf("the copy is %q", l.What)
		}
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", l.Do).CombinedOutput(); err != nil {
			t.Errorf("%s: %v, %s", l.Do, err, out)
		}
	}
	mustLeave()
	d.Act, d.Options.NoBackup = "merge", true
	if _, err := d.do(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustLeave("the journal that payment came from")
	third := Options{Journal: d.Options.Journal, Other: filepath.Join(folder, "again.db"), Modules: []string{"payment"}}
	for _, use := range [][]string{{"which an undo needs"}, {"of no use for an undo", "which an undo needs"}} {
		if _, err := Split(t.Context(), third); err != nil {
			t.Fatal(err)
		}
		found, err := Leftovers(t.Context(), third.Journal)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range found {
			if strings.Contains(l.What, "an undo") {
				got = append(got, l.What[strings.LastIndex(l.What, ", ")+2:])
			}
		}
		if text := strings.Join(sorted(got), "; "); len(got) != len(use) || !strings.Contains(text, use[len(use)-1]) {
			t.Errorf("the copies are %s, want %q", text, use)
		}
		third.Modules, third.Other = []string{"shipping"}, filepath.Join(folder, "shipping.db")
	}
}

// A journal that was killed while it was being made is a part at every moment: empty, with the log's mode, with the mark, with tables. A
// database of somebody else's is none.
func TestBeginningsOfAPart(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		sql  string
		ours bool
	}{
		"the log's mode":     {"PRAGMA journal_mode = WAL", true},
		"the mark":           {"PRAGMA journal_mode = WAL; PRAGMA application_id = 1416786021", true},
		"a table":            {"PRAGMA application_id = 1416786021; CREATE TABLE migrations (x)", true},
		"somebody's table":   {"CREATE TABLE letters (x)", false},
		"somebody's mark":    {"PRAGMA journal_mode = WAL; PRAGMA application_id = 7", false},
		"somebody's deleted": {"CREATE TABLE letters (x); DROP TABLE letters", false},
	} {
		path := filepath.Join(t.TempDir(), "away.db.part-0123456789abcdef")
		db, err := sql.Open("sqlite3", dbfile.URI(path))
		if err == nil {
			_, err = db.ExecContext(t.Context(), tt.sql)
		}
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		if ours, err := dbfile.IsJournal(path); err != nil || ours != tt.ours {
			t.Errorf("%s: ours is %v, %v, want %v", name, ours, err, tt.ours)
		}
	}
}
