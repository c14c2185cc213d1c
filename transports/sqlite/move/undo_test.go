package move

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/inventory"
)

// dump is all that a file has, but for the moves.
func dump(tb testing.TB, path string) (all []string) {
	tb.Helper()
	m := mustTouch(tb, nil, path)
	defer func() { _ = m.db.Close() }()
	for _, table := range column[string](m, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'moves' ORDER BY name") {
		columns := column[string](m, "SELECT 'quote(' || '\"' || name || '\")' FROM pragma_table_xinfo(?)", table)
		for _, row := range column[string](m, "SELECT "+strings.Join(columns, "||','||")+" FROM "+inventory.Quote(table)) {
			all = append(all, table+": "+row)
		}
	}
	return append(all, column[string](m, "SELECT name || sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")...)
}

// TestUndo undoes moves to the last byte that matters.
func TestUndo(t *testing.T) {
	t.Parallel()
	for _, act := range []string{"split", "merge"} {
		t.Run(act, func(t *testing.T) {
			t.Parallel()
			d := mustSetUp(t, act)
			before := dump(t, d.Options.Journal)
			if _, err := d.do(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := tryOpen(t, d.Options.Journal); err != nil { // which changes nothing
				t.Fatal(err)
			}
			if _, err := Undo(t.Context(), opposite[act], d.Options); !errors.Is(err, ErrNothing) {
				t.Errorf("undoing the other act: %v", err)
			}
			p, err := Undo(t.Context(), act, d.Options)
			if err != nil {
				t.Fatal(err)
			}
			if wrong := p.Wrong(); len(wrong) > 0 || p.Act != "undo" || p.Undoes != act || p.Again {
				t.Errorf("proof: %+v", p)
			}
			if after := dump(t, d.Options.Journal); strings.Join(after, "\n") != strings.Join(before, "\n") {
				t.Errorf("not as before: %d lines, %d before", len(after), len(before))
			}
			if err := tryOpen(t, d.Options.Journal); err != nil {
				t.Error(err)
			}
			err = tryOpen(t, d.Options.Other)
			if act == "split" && !errors.Is(err, fs.ErrNotExist) || act == "merge" && err != nil {
				t.Errorf("the other journal opens with %v", err)
			}
			if p, err = Undo(t.Context(), act, d.Options); err != nil || !p.Again {
				t.Errorf("once more: %+v, %v", p, err)
			}
			if _, err := d.do(t.Context()); err != nil {
				t.Errorf("doing it again: %v", err)
			}
		})
	}
}

// TestUndoRefuses when something has happened since, and says what to do.
func TestUndoRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*testing.T, Options){
		"journal": func(t *testing.T, o Options) {
			mustTouch(t, rand.New(rand.NewPCG(1, 1)), o.Journal).exec("UPDATE order_orders SET total = total + 1")
		},
		"other": func(t *testing.T, o Options) {
			mustTouch(t, rand.New(rand.NewPCG(1, 1)), o.Other).exec("UPDATE deliveries SET error = 'x' WHERE seq = (SELECT max(seq) FROM deliveries)")
		},
		"copy": func(t *testing.T, o Options) {
			copies, err := filepath.Glob(o.Journal + ".before-*")
			if err != nil || len(copies) != 1 {
				t.Fatal(copies, err)
			}
			mustTouch(t, rand.New(rand.NewPCG(1, 1)), copies[0]).exec("DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)")
		},
		"other is gone": func(t *testing.T, o Options) {
			if err := os.Remove(o.Other); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := mustSetUp(t, "merge") // a journal that was split
			change(t, d.Options)
			before := dump(t, d.Options.Journal)
			if _, err := Undo(t.Context(), "split", d.Options); !errors.Is(err, ErrChanged) {
				t.Errorf("undone: %v", err)
			}
			if after := dump(t, d.Options.Journal); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Error("the journal has changed")
			}
		})
	}
	t.Run("no copy", func(t *testing.T) {
		t.Parallel()
		d := mustSetUp(t, "split")
		d.Options.NoBackup = true
		if _, err := Split(t.Context(), d.Options); err != nil {
			t.Fatal(err)
		}
		if _, err := Undo(t.Context(), "split", d.Options); !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), "use the opposite move (merge)") {
			t.Errorf("undone: %v", err)
		}
	})
}

// TestRefuses lists what cannot be moved.
func TestRefuses(t *testing.T) {
	t.Parallel()
	shop := MustMake(t, rand.New(rand.NewPCG(7, 7)))
	m := mustTouch(t, rand.New(rand.NewPCG(1, 1)), shop)
	m.exec("CREATE TABLE shipping_labels (id TEXT PRIMARY KEY, paid TEXT REFERENCES payment_payments (id)) STRICT")
	m.exec("CREATE VIEW shipping_seen AS SELECT id FROM order_orders")
	m.exec("CREATE TRIGGER order_follows AFTER UPDATE ON order_orders BEGIN DELETE FROM payment_payments WHERE id = new.id; END")
	before := dump(t, shop)
	there := filepath.Join(t.TempDir(), "there.db")
	if err := os.WriteFile(there, []byte("a letter"), 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none.db")
	for _, c := range []struct {
		name string
		o    Options
		want error
		says string
	}{
		{"unknown", Options{Modules: []string{"paymint"}}, ErrModules, "order, payment, payment_audit, shipping"},
		{"all", Options{Modules: []string{"order", "payment", "payment_audit", "shipping"}}, ErrModules, "no other modules"},
		{"none", Options{}, ErrModules, "name the modules to move"},
		{"tied", Options{Modules: []string{"payment"}}, ErrModules, "shipping_labels has a foreign key to payment_payments"},
		{"looked at", Options{Modules: []string{"order"}}, ErrModules, "shipping_seen"},
		{"exists", Options{Modules: []string{"payment"}, Other: there}, ErrExists, there},
		{"itself", Options{Modules: []string{"payment"}, Other: shop}, nil, "both journals"},
		{"no folder", Options{Modules: []string{"payment"}, Other: filepath.Join(t.TempDir(), "none", "new.db")}, fs.ErrNotExist, "make it first"},
		{"no journal", Options{Modules: []string{"payment"}, Journal: none}, fs.ErrNotExist, none},
	} {
		if c.o.Journal == "" {
			c.o.Journal = shop
		}
		if c.o.Other == "" {
			c.o.Other = filepath.Join(t.TempDir(), "new.db")
		}
		_, err := Split(t.Context(), c.o)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
		if found, _ := filepath.Glob(c.o.Other + "*"); c.name != "exists" && c.name != "itself" && len(found) > 0 {
			t.Errorf("%s: leaves %v", c.name, found)
		}
	}
	if after := dump(t, shop); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Error("the journal has changed")
	}
	found, err := Trespasses(t.Context(), shop, []string{"payment"})
	if err != nil || len(found) != 2 {
		t.Errorf("trespasses: %v, %v", found, err)
	}
	m.exec("INSERT INTO migrations VALUES ('journal', 'schema/9999_future.sql', 'x', 0)")
	if _, err := Split(t.Context(), Options{Journal: shop, Other: filepath.Join(t.TempDir(), "new.db"), Modules: []string{"payment"}}); !errors.Is(err, sqlite.ErrNewer) {
		t.Errorf("a newer journal: %v", err)
	}
}

// TestMergeRefuses what would lose something.
func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(a, b *made)
		says   string
	}{
		"in both": {func(a, _ *made) {
			a.exec("DROP TRIGGER \"elsewhere:payment:migrations\"")
			a.exec("INSERT INTO migrations VALUES ('payment', '1', 'x', 0)")
		}, "in both"},
		"another event":  {func(a, _ *made) { a.exec("UPDATE events SET data = x'00'") }, "another one"},
		"nobody's table": {func(_, b *made) { b.exec("CREATE TABLE loose (a)") }, "loose"},
		"consumer groups": {func(_, b *made) {
			b.exec(`INSERT INTO subscriptions (name, kind, types, start_seq, cursor) VALUES ('group:"y":z', 'group', '["z"]', 0, 0)`)
		}, "group:"},
		"a virtual table": {func(_, b *made) { b.exec("CREATE VIRTUAL TABLE payment_words USING fts4 (text)") }, "payment_words in"},
		"an observer":     {func(_, b *made) { b.exec("INSERT INTO observer VALUES (1)") }, "observer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := mustSetUp(t, "merge")
			random := rand.New(rand.NewPCG(1, 1))
			c.change(mustTouch(t, random, d.Options.Journal), mustTouch(t, random, d.Options.Other))
			before := dump(t, d.Options.Journal)
			if _, err := Merge(t.Context(), d.Options); !errors.Is(err, ErrModules) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("merged: %v", err)
			}
			if after := dump(t, d.Options.Journal); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Error("the journal has changed")
			}
			if err := tryOpen(t, d.Options.Other); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDryRun counts beside the owner, and changes nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	d := mustSetUp(t, "split")
	j, err := sqlite.Open(t.Context(), d.Options.Journal, sqlite.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	dry := d.Options
	dry.DryRun = true
	torn := dry
	torn.Journal = filepath.Join(t.TempDir(), "torn.db")
	if data, err := os.ReadFile(dry.Journal); err != nil || os.WriteFile(torn.Journal, data, 0o600) != nil {
		t.Fatal("cannot copy the journal", err)
	}
	if _, err := Split(t.Context(), torn); err == nil || !strings.Contains(err.Error(), "a copy of a journal that was in use") {
		t.Errorf("a dry run on a copy without its log: %v", err)
	}
	would, err := Split(t.Context(), dry)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	did, err := Split(t.Context(), d.Options)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]Line{}
	for _, l := range would.Lines {
		byName[l.What] = l
	}
	for _, l := range did.Lines {
		if w := byName[l.What]; w.Moved.Before != l.Moved.Before || w.Stayed.Before != l.Stayed.Before {
			t.Errorf("%s: would move %+v, moved %+v", l.What, w, l)
		}
	}
	before := dump(t, d.Options.Journal)
	if p, err := Merge(t.Context(), dry); err != nil || !p.DryRun || len(p.Lines) == 0 {
		t.Errorf("dry merge: %+v, %v", p, err)
	}
	if fmt.Sprint(dump(t, d.Options.Journal)) != fmt.Sprint(before) {
		t.Error("the journal has changed")
	}
}

// TestOwnTables holds the list of the journal's tables against a new journal.
func TestOwnTables(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new.db")
	j, err := sqlite.Open(t.Context(), path, sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	got := column[string](mustTouch(t, nil, path), "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name")
	want := append([]string{}, inventory.Tables...)
	if fmt.Sprint(got) != fmt.Sprint(sorted(want)) {
		t.Errorf("a journal has %v: say in this package what becomes of what is not in %v", got, want)
	}
}

// TestLostOther opens a half whose other half is not there, or is there no more but beside it.
func TestLostOther(t *testing.T) {
	t.Parallel()
	d := mustSetUp(t, "split")
	d.Die = "decided"
	d.mustDie(t)
	into := filepath.Join(t.TempDir(), "deep", "down", "payment.db")
	rel, err := filepath.Rel(filepath.Dir(d.Options.Other), d.Options.Journal)
	if err != nil {
		t.Fatal(err)
	}
	shop := filepath.Join(filepath.Dir(into), rel)
	move := func(from, to string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.Rename(from, to)); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(from+"-wal", to+"-wal"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	move(d.Options.Other, into)
	move(d.Options.Journal, d.Options.Journal+".away")
	if err := tryOpen(t, into); !errors.Is(err, sqlite.ErrMoved) || !strings.Contains(err.Error(), "UPDATE moves") {
		t.Errorf("without the journal that decides: %v", err)
	}
	if _, err := os.Stat(d.Options.Journal); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
	move(d.Options.Journal+".away", shop)
	if err := tryOpen(t, into); err != nil {
		t.Errorf("with the journal that decides in the same place as before, seen from here: %v", err)
	}
}

// TestFailsAfterwards has the last look at the disk find something else: the move is undone.
func TestFailsAfterwards(t *testing.T) {
	t.Parallel()
	for _, act := range []string{"split", "merge"} {
		t.Run(act, func(t *testing.T) {
			t.Parallel()
			d := mustSetUp(t, act)
			before := dump(t, d.Options.Journal)
			d.Options.at = func(point string) error {
				if point == "done" { // the disk has lost something, or a person has been at it
					m := mustTouch(t, nil, d.Options.Journal)
					m.exec("DELETE FROM order_orders")
					return m.db.Close()
				}
				return nil
			}
			if _, err := d.do(t.Context()); err == nil || !strings.Contains(err.Error(), "restored") {
				t.Errorf("it says %v", err)
			}
			if after := dump(t, d.Options.Journal); strings.Join(after, "\n") != strings.Join(before, "\n") {
				t.Error("the journal is not as it was")
			}
			if err := tryOpen(t, d.Options.Other); act == "merge" && err != nil || act == "split" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the other journal opens with %v", err)
			}
		})
	}
}
