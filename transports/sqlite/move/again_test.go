package move

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
)

// TestSplitAgainAfterMerge splits into the file that a merge left behind: that has not been done already, and must not say so.
func TestSplitAgainAfterMerge(t *testing.T) {
	t.Parallel()
	d := mustSetUp(t, "undo merge") // split, and merged
	o := d.Options
	before := mustHave(t, o.Journal, "payment")
	if p, err := Split(t.Context(), o); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "name another one, or remove that one") {
		t.Fatalf("split into what was merged away: a proof: %t, %v", p != nil, err)
	}
	if diff := differences(before, mustHave(t, o.Journal, "payment")); len(diff) > 0 {
		t.Errorf("the journal has changed: %v", diff)
	}
	elsewhere := o
	elsewhere.Other = filepath.Join(t.TempDir(), "elsewhere.db")
	if p, err := Split(t.Context(), elsewhere); err != nil || p.Again {
		t.Fatalf("split into another file: a proof: %t, %v", p != nil, err)
	}
	if p, err := Split(t.Context(), o); !errors.Is(err, ErrExists) { // payment is not in the journal, nor in this file
		t.Errorf("split into what was merged away, when it is elsewhere: a proof: %t, %v", p != nil, err)
	}
	if p, err := Merge(t.Context(), o); !errors.Is(err, sqlite.ErrMoved) { // it came, and left again
		t.Errorf("merge what was merged away: a proof: %t, %v", p != nil, err)
	}
	if p, err := Split(t.Context(), elsewhere); err != nil || !p.Again {
		t.Errorf("the split that holds, again: a proof: %t, %v", p != nil, err)
	}
}

// TestSplitAgainAfterUndoneMerge: what was split off is where the split took it, as if the merge had never been.
func TestSplitAgainAfterUndoneMerge(t *testing.T) {
	t.Parallel()
	d := mustSetUp(t, "undo merge")
	if _, err := Undo(t.Context(), "merge", d.Options); err != nil {
		t.Fatal(err)
	}
	if p, err := Split(t.Context(), d.Options); err != nil || !p.Again {
		t.Errorf("the split that holds again: a proof: %t, %v", p != nil, err)
	}
}

// TestSplitAgainAfterMergeElsewhere: the file that the split made was merged into a third one.
func TestSplitAgainAfterMergeElsewhere(t *testing.T) {
	t.Parallel()
	d := mustSetUp(t, "merge")
	third := Options{Journal: d.Options.Journal, Other: filepath.Join(t.TempDir(), "shipping.db"), Modules: []string{"shipping"}}
	if _, err := Split(t.Context(), third); err != nil {
		t.Fatal(err)
	}
	if _, err := Merge(t.Context(), Options{Journal: third.Other, Other: d.Options.Other}); err != nil {
		t.Fatal(err)
	}
	if p, err := Split(t.Context(), d.Options); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "merged into "+third.Other) {
		t.Errorf("split into what was merged into a third journal: a proof: %t, %v", p != nil, err)
	}
	if p, err := Split(t.Context(), third); err != nil || !p.Again {
		t.Errorf("the split that holds, again: a proof: %t, %v", p != nil, err)
	}
}

// TestSplitAgainBesideOldCopy: the file that the split made was moved before it was merged, and a copy of it is where it was.
func TestSplitAgainBesideOldCopy(t *testing.T) {
	t.Parallel()
	d := mustSetUp(t, "merge")
	merged := filepath.Join(t.TempDir(), "moved.db")
	if err := dbfile.CopyPages(t.Context(), d.Options.Other, merged, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := Merge(t.Context(), Options{Journal: d.Options.Journal, Other: merged}); err != nil {
		t.Fatal(err)
	}
	if p, err := Split(t.Context(), d.Options); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "was moved since") {
		t.Errorf("split into a copy of what was merged: a proof: %t, %v", p != nil, err)
	}
}

// TestAgainInAnotherPlace repeats moves whose files have been moved: the proof names them where they are.
func TestAgainInAnotherPlace(t *testing.T) {
	t.Parallel()
	d := mustSetUp(t, "merge")
	there := Options{Journal: filepath.Join(t.TempDir(), "moved.db"), Other: d.Options.Other, Modules: d.Options.Modules}
	if err := os.Rename(d.Options.Journal, there.Journal); err != nil {
		t.Fatal(err)
	}
	wants := func(p *Proof, err error) {
		t.Helper()
		if err != nil || !p.Again || p.Journal != there.Journal || p.Other != there.Other || !strings.HasPrefix(p.Backup, there.Journal) {
			t.Errorf("a proof: %t, %v", p != nil, err)
		}
	}
	wants(Split(t.Context(), there))
	if _, err := Merge(t.Context(), there); err != nil {
		t.Fatal(err)
	}
	back := there.Journal
	there.Journal += ".2"
	if err := os.Rename(back, there.Journal); err != nil {
		t.Fatal(err)
	}
	wants(Merge(t.Context(), there))
}
