package move

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/inventory"
)

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

// mustHave is the inventory of a journal on disk.
func mustHave(tb testing.TB, path string, modules ...string) inventory.Inventory {
	tb.Helper()
	inv, err := inventory.Of(tb.Context(), path, modules)
	if err != nil {
		tb.Fatal(err)
	}
	return inv
}

// differences are those between two inventories, all of them.
func differences(a, b inventory.Inventory) (names []string) {
	for _, pair := range [][2]inventory.Part{{a.Moving, b.Moving}, {b.Moving, a.Moving}, {a.Staying, b.Staying}, {b.Staying, a.Staying}} {
		for name, sum := range pair[0] {
			if other := pair[1][name]; sum != other {
				names = append(names, fmt.Sprintf("%s: %d, %d", name, sum.Rows, other.Rows))
			}
		}
	}
	return sorted(names)
}

// numbered are numbers of rows that nothing in a table shows.
func numbered(tb testing.TB, path string) []string {
	tb.Helper()
	m := mustTouch(tb, nil, path)
	defer func() { _ = m.db.Close() }()
	return column[string](m, `
SELECT rowid || ' ' || quote(a) FROM payment_loose UNION ALL SELECT id || ' ' || hex(raw) FROM payment_log
UNION ALL SELECT 'next ' || name || ' ' || seq FROM sqlite_sequence WHERE name = 'payment_log'`)
}

// TestThereAndBack splits random journals, looks at both halves, and merges them again.
func TestThereAndBack(t *testing.T) {
	t.Parallel()
	for seed := range uint64(16) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 0))
			shop := MustMake(t, random)
			modules := [][]string{{"payment"}, {"order", "shipping"}, {"payment_audit"}, {"payment", "payment_audit"}}[seed%4]
			was, numbers := mustHave(t, shop, modules...), numbered(t, shop)
			into := filepath.Join(t.TempDir(), "new.db")
			o := Options{Journal: shop, Other: into, Modules: modules, NoBackup: seed%3 == 0}
			p, err := Split(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if wrong := p.Wrong(); len(wrong) > 0 || len(p.Lines) == 0 {
				t.Errorf("proof: %v", wrong)
			}
			mustBeSound(t, shop)
			mustBeSound(t, into)
			again := o
			again.Other += ".2"
			if _, err := Split(t.Context(), again); !errors.Is(err, ErrModules) || !strings.Contains(err.Error(), "went to "+into) {
				t.Errorf("splitting it again: %v", err)
			}
			if slices.Contains(modules, "payment") {
				if is := numbered(t, into); !slices.Equal(is, numbers) {
					t.Errorf("in the new journal, numbers of rows are %v, want %v", is, numbers)
				}
			}
			if _, err := Merge(t.Context(), Options{Journal: shop, Other: into, NoBackup: seed%2 == 0}); err != nil {
				t.Fatal(err)
			}
			mustBeSound(t, shop)
			is := mustHave(t, shop, modules...)
			delete(was.Moving, inventory.ToSend) // a journal that had no relay has one now
			delete(is.Moving, inventory.ToSend)
			if diff := differences(was, is); len(diff) > 0 {
				t.Errorf("not as before: %v", diff)
			}
			if is := numbered(t, shop); !slices.Equal(is, numbers) {
				t.Errorf("numbers of rows are %v, want %v", is, numbers)
			}
			if _, err := sqlite.Open(t.Context(), into, sqlite.Config{}); !errors.Is(err, sqlite.ErrMoved) {
				t.Errorf("the journal that is left opens with %v", err)
			}
		})
	}
}
