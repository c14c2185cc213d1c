package sqlite_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// clinic is a program of one module, which is called like that of MustRun.
func clinic() *journal.Program {
	return &journal.Program{
		Name: "clinic", Version: "1.2",
		Events:        []journal.ProgramEvent{{Type: "test.asked", Version: 2, Emitter: "test", Outside: true}},
		Subscriptions: []journal.ProgramSubscription{{Name: "test/answer", Consumes: []string{"test.asked"}, Emits: []string{"test.answered"}, FromNow: true}},
	}
}

// shop has no module in common with clinic.
func shop() *journal.Program {
	return &journal.Program{Name: "shop", Events: []journal.ProgramEvent{{Type: "order.placed", Version: 1, Emitter: "order"}}}
}

// A program that opens another one's journal, by mistake, is told whose it is, and leaves no trace in it.
func TestOpenRefusesAnotherProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	MustOpenAndClose(t, path, sqlite.Config{Program: clinic()})
	before := MustHash(t, path)
	var other *sqlite.OtherProgramError
	_, err := sqlite.Open(t.Context(), path, sqlite.Config{Program: shop()})
	if !errors.Is(err, sqlite.ErrOtherProgram) || !errors.As(err, &other) || other.Owner != "clinic" || other.Program != "shop" {
		t.Fatalf("Open says %v, want an OtherProgramError of clinic for shop", err)
	}
	if MustHash(t, path) != before {
		t.Error("the refused program has written into the journal")
	}
	r := MustRead(t, path)
	if p, err := r.Program(t.Context()); err != nil || !reflect.DeepEqual(p, clinic()) {
		t.Errorf("the journal's program is %+v, %v, want what clinic declares", p, err)
	}
	MustOpenAndClose(t, path, sqlite.Config{}) // a library without a name
}

// A program without any of the journal's modules cannot adopt the journal, whatever the modules have there.
func TestAnUnrelatedProgramAdoptsNothing(t *testing.T) {
	t.Parallel()
	for _, has := range []string{
		"INSERT INTO subscriptions (name, kind, types, start_seq, cursor) VALUES ('test/answer', 'bus', '[]', 0, 0)",
		"INSERT INTO migrations (module, name, checksum, applied_at) VALUES ('test', 'a.sql', '', 0)",
		`INSERT INTO delayed (due_at, event_id, type, version, source, key, correlation_id, causation_id, subscription, hops, data)
VALUES (0, 'a', 'test.asked', 1, 'test', '', 'a', '', '', 0, x'7b7d')`,
	} {
		path := filepath.Join(t.TempDir(), "j.db")
		MustOpenAndClose(t, path, sqlite.Config{Program: clinic()})
		MustExec(t, path, has)
		before := MustReadFolder(t, filepath.Dir(path))
		var other *sqlite.OtherProgramError
		_, err := sqlite.Open(t.Context(), path, sqlite.Config{Program: shop(), Adopt: true})
		if !errors.As(err, &other) || other.Adoptable || !strings.Contains(err.Error(), "none of the journal's modules (test): run clinic on it, or name another file") {
			t.Errorf("%s: Open says %v, want an OtherProgramError that names the module", has, err)
		}
		if after := MustReadFolder(t, filepath.Dir(path)); !reflect.DeepEqual(after, before) {
			t.Errorf("%s: the refused program has changed the journal", has)
		}
	}
}

// A journal changes hands when the modules of the program fit, and not before.
func TestAdopt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	MustOpenAndClose(t, path, sqlite.Config{Program: clinic()})
	MustExec(t, path, `INSERT INTO subscriptions (name, kind, types, start_seq, cursor) VALUES ('test/answer', 'bus', '["test.asked"]', 0, 0)`)
	surgery := clinic()
	surgery.Name = "surgery"
	subs := []journal.Subscription{{Name: "test/answer", Types: []string{"test.asked"}, Parallel: 1}}
	newer := map[string]fs.FS{"test": fstest.MapFS{"1.sql": {Data: []byte("COMMIT")}}}
	for _, c := range []struct {
		start func(*sqlite.Journal) error
		fails bool
		owner string
	}{
		{func(*sqlite.Journal) error { return nil }, false, "clinic"},
		{func(j *sqlite.Journal) error { return j.Fits(t.Context(), newer, subs) }, true, "clinic"},
		{func(j *sqlite.Journal) error { return j.Fits(t.Context(), nil, subs) }, false, "surgery"},
	} {
		j, err := sqlite.Open(t.Context(), path, sqlite.Config{Program: surgery, Adopt: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.start(j); (err != nil) != c.fails {
			t.Errorf("the start says %v, want an error: %v", err, c.fails)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if p, err := MustRead(t, path).Program(t.Context()); err != nil || p == nil || p.Name != c.owner {
			t.Errorf("the journal belongs to %+v, %v, want %s", p, err, c.owner)
		}
	}
}

// A refusal changes no byte and no file of the other program's journal, also when that program was killed or runs.
func TestARefusalLeavesNoTrace(t *testing.T) {
	t.Parallel()
	source := MustOpen(t, filepath.Join(t.TempDir(), "j.db"), sqlite.Config{Program: clinic()})
	MustAppend(t, source, &journal.Event{ID: "1", Type: "test.asked", CorrelationID: "f"})
	for how, ends := range map[string][]string{"killed": {"", "-wal", "-shm"}, "copied": {"", "-wal"}, "running": nil, "closed": {""}} {
		path := source.Path()
		if how == "closed" {
			path = filepath.Join(t.TempDir(), "closed.db")
			MustOpenAndClose(t, path, sqlite.Config{Program: clinic()})
			if err := os.Remove(path + ".lock"); err != nil {
				t.Fatal(err)
			}
		} else if how != "running" {
			path = filepath.Join(t.TempDir(), "j.db")
			for _, end := range ends {
				b, err := os.ReadFile(source.Path() + end)
				if err != nil {
					t.Fatal(err)
				}
				MustWrite(t, path+end, b)
			}
		}
		before := MustReadFolder(t, filepath.Dir(path))
		_, err := sqlite.Open(t.Context(), path, sqlite.Config{Program: shop()})
		if !errors.Is(err, sqlite.ErrOtherProgram) || !strings.Contains(err.Error(), "open "+path+": it is a journal of clinic") {
			t.Errorf("%s: Open says %v, want an ErrOtherProgram", how, err)
		}
		for name, is := range MustReadFolder(t, filepath.Dir(path)) {
			if was, known := before[name]; !known || was != is && how != "running" {
				t.Errorf("%s: the refused program has made or changed %s", how, name)
			}
			delete(before, name)
		}
		if len(before) > 0 {
			t.Errorf("%s: the refused program has removed files", how)
		}
	}
	MustAppend(t, source, &journal.Event{ID: "2", Type: "test.asked", CorrelationID: "f"})
}

// MustReadFolder returns the content of the files in a folder, by name.
func MustReadFolder(tb testing.TB, folder string) map[string]string {
	tb.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		tb.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			tb.Fatal(err)
		}
		files[e.Name()] = string(b)
	}
	return files
}

// A journal from before programs had names belongs to the program whose modules are in it.
func TestOpenAJournalWithoutAProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	a := MustRun(t, path, func(m *bus.Module) {
		bus.On(m, "answer", func(context.Context, asked) (bus.Events, error) { return nil, nil })
	})
	a.publish(t, "f", asked{Key: "k"})
	a.stop()
	before := MustHash(t, path)
	var other *sqlite.OtherProgramError
	if _, err := sqlite.Open(t.Context(), path, sqlite.Config{Program: shop()}); !errors.As(err, &other) || other.Owner != "" || !strings.Contains(err.Error(), "(test)") {
		t.Errorf("Open says %v, want an OtherProgramError that names the module", err)
	}
	if MustHash(t, path) != before {
		t.Error("the refused program has written into the journal")
	}
	MustOpenAndClose(t, path, sqlite.Config{Program: clinic()})
	if p, err := MustRead(t, path).Program(t.Context()); err != nil || p == nil || p.Name != "clinic" {
		t.Errorf("the journal's program is %+v, %v, want clinic", p, err)
	}
}

// The newest declarations count, and a program that changes nothing writes nothing.
func TestProgramIsKeptUpToDate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	MustOpenAndClose(t, path, sqlite.Config{Program: clinic()})
	newer := clinic()
	newer.Version, newer.Subscriptions = "1.3", nil
	MustOpenAndClose(t, path, sqlite.Config{Program: newer})
	if p, err := MustRead(t, path).Program(t.Context()); err != nil || !reflect.DeepEqual(p, newer) {
		t.Errorf("the journal's program is %+v, %v, want %+v", p, err, newer)
	}
	if got := clinic().Modules(); !reflect.DeepEqual(got, []string{"test"}) {
		t.Errorf("modules are %v", got)
	}
	for _, wrong := range []sqlite.Config{{Program: &journal.Program{}}, {Adopt: true}} {
		if _, err := sqlite.Open(t.Context(), path, wrong); err == nil || !strings.Contains(err.Error(), "Program") {
			t.Errorf("Open with %+v says %v", wrong, err)
		}
	}
}

func MustOpenAndClose(tb testing.TB, path string, cfg sqlite.Config) {
	tb.Helper()
	j, err := sqlite.Open(tb.Context(), path, cfg)
	if err == nil {
		err = j.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func MustHash(tb testing.TB, path string) [sha256.Size]byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return sha256.Sum256(b)
}
