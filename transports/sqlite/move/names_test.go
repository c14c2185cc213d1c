package move

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestNamesMove splits and merges modules with a renamed subscription: its names, and why others are retired, go along.
func TestNamesMove(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 5))
	o := Options{Journal: MustMake(t, random), Other: filepath.Join(t.TempDir(), "payment.db"), Modules: []string{"payment"}, NoBackup: true}
	a := mustTouch(t, random, o.Journal)
	a.exec(`UPDATE subscriptions SET was = '["payment/first"]', version = 3, rebuilds = 2, retired_by = 'ann', retired_why = 'test' WHERE name LIKE 'payment/%'`)
	const names = `SELECT name || was || version || rebuilds || retired_by || retired_why FROM subscriptions WHERE name LIKE 'payment/%' ORDER BY name`
	want := column[string](a, names)
	if _, err := Split(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	b := mustTouch(t, random, o.Other)
	if got := column[string](b, names); len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("after the split they are %q, want %q", got, want)
	}
	if _, err := Merge(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := column[string](a, names); !slices.Equal(got, want) {
		t.Errorf("after the merge they are %q, want %q", got, want)
	}
}

// TestKeysMove splits and merges a module that has idempotency keys only.
func TestKeysMove(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(6, 6))
	o := Options{Journal: MustMake(t, random), Other: filepath.Join(t.TempDir(), "desk.db"), Modules: []string{"desk"}, NoBackup: true}
	a := mustTouch(t, random, o.Journal)
	a.exec("INSERT INTO requests (module, key, digest, flow, answer, until) VALUES ('desk', 'k', x'01', 'f', x'6e', ?)", 1<<52)
	if _, err := Split(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for table, row := range map[string]string{"requests": "('desk', 'l', x'01', 'f', x'6e', 1)", "schedules": "('desk/nightly', '1h', 1, 2)"} {
		if _, err := a.db.Exec("INSERT INTO " + table + " VALUES " + row); err == nil || !strings.Contains(err.Error(), "desk went to ") {
			t.Errorf("after the split, %s takes a row: %v", table, err)
		}
	}
	const keys = "SELECT key FROM requests WHERE module = 'desk'"
	if here, there := column[string](a, keys), column[string](mustTouch(t, random, o.Other), keys); len(here) != 0 || !slices.Equal(there, []string{"k"}) {
		t.Errorf("after the split the keys are %q and %q", here, there)
	}
	if _, err := Merge(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if here := column[string](a, keys); !slices.Equal(here, []string{"k"}) {
		t.Errorf("after the merge the keys are %q", here)
	}
}
