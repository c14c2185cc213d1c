package sqlite_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// manyLetters is a journal with n dead letters of three subscriptions, which died in any order.
func manyLetters(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "j.db")
	j := MustOpen(t, path, sqlite.Config{Synchronous: "off"})
	MustFill(t, j, n)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, query := range []string{
		`INSERT INTO subscriptions (id, name, kind, types, start_seq, cursor) VALUES (11, 'a/one', 'bus', '[]', 0, 0), (12, 'a/two', 'bus', '[]', 0, 0), (13, 'a/three', 'bus', '[]', 0, 0)`,
		`INSERT INTO deliveries (seq, subscription, outcome, attempts, started_at, duration) SELECT seq, 11 + (seq % 100 = 0), 'dead', 3, 1, 1 FROM events`,
		`INSERT INTO dead_letters (seq, subscription, error, attempts, first_failed_at, dead_at, status)
		SELECT seq, 11 + (seq % 100 = 0), 'no ' || seq, 3, 1, 1790000000000000 + seq * 7919 % 10007 * 1000000, iif(seq % 10 = 0, 'replayed', 'dead') FROM events`,
	} {
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// anyLetters is a filter.
func anyLetters(draw *rand.Rand) sqlite.DeadLetterFilter {
	one := func(of ...string) string { return of[draw.IntN(len(of))] }
	f := sqlite.DeadLetterFilter{
		Subscription: one("", "", "a/one", "a/two", "a/three", "a/none"), Type: one("", "", "often", "seldom", "never"),
		Status: journal.LetterStatus(one("", "dead", "replayed", "dropped")), Limit: []int{0, 1, 100, 600, 9000}[draw.IntN(5)],
	}
	if draw.IntN(2) == 0 {
		f.Since = time.UnixMicro(1790000000000000).Add(time.Duration(draw.IntN(12000)) * time.Second)
	}
	return f
}

// TestLettersOfEveryFilter: whatever is asked for, the list is what going through all of them would find, and so are
// the causes.
func TestLettersOfEveryFilter(t *testing.T) {
	t.Parallel()
	r := MustRead(t, manyLetters(t, 7000))
	all, err := r.DeadLetters(t.Context(), sqlite.DeadLetterFilter{})
	if err != nil || len(all) != 7000 {
		t.Fatal(len(all), err)
	}
	draw := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		f := anyLetters(draw)
		var want []int64
		for _, l := range all {
			if (f.Subscription == "" || l.Subscription == f.Subscription) && (f.Type == "" || l.Event.Type == f.Type) &&
				(f.Status == "" || l.Status == f.Status) && !l.DeadAt.Before(f.Since) {
				want = append(want, l.ID)
			}
		}
		wantMore := f.Limit > 0 && len(want) > f.Limit
		if wantMore {
			want = want[len(want)-f.Limit:]
		}
		var got []int64
		more, err := r.ListDeadLetters(t.Context(), f, func(l *journal.DeadLetter) error { got = append(got, l.ID); return nil })
		if err != nil || more != wantMore || !slices.Equal(got, want) {
			t.Fatalf("%+v: %d letters, more %v, %v; want %d, more %v", f, len(got), more, err, len(want), wantMore)
		}
		causes, err := r.Causes(t.Context(), f)
		n := 0
		for _, c := range causes {
			n += c.Count
			if !strings.HasPrefix(c.Error, "no #") {
				t.Errorf("%+v: cause %q", f, c.Error)
			}
		}
		if err != nil || n != len(want) {
			t.Fatalf("%+v: causes of %d letters, %v; want %d", f, n, err, len(want))
		}
	}
}

// TestCausesThatAreGiven: what the index of causes counts is what reading each dead letter would, for any filter,
// also after people have acted, and after a letter died again of something else.
func TestCausesThatAreGiven(t *testing.T) {
	t.Parallel()
	path := manyLetters(t, 7000)
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r := MustRead(t, path)
	change := func(query string, args ...any) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	given := func() (n int) {
		t.Helper()
		if err := db.QueryRowContext(t.Context(), "SELECT count(cause) FROM dead_letters").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	draw := rand.New(rand.NewPCG(3, 4))
	for _, act := range []string{"", "UPDATE dead_letters SET status = 'dropped' WHERE id % 3 = 0", `
INSERT INTO dead_letters (seq, subscription, error, attempts, first_failed_at, dead_at) SELECT seq, subscription, 'another: ' || seq, 1, 1, 1790000000000000
FROM dead_letters WHERE id % 7 = 0 ON CONFLICT (subscription, seq) DO UPDATE SET error = excluded.error, dead_at = excluded.dead_at, status = 'dead'`} {
		if act != "" {
			change(act)
		}
		if err := sqlite.CauseAll(t.Context(), db, 900); err != nil {
			t.Fatal(err)
		}
		left := 7000 - given()
		if left >= 900 {
			t.Fatalf("%d letters have no cause yet, want less than a batch", left)
		}
		var filters []sqlite.DeadLetterFilter
		var got [][]sqlite.Cause
		for range 40 {
			f := anyLetters(draw)
			causes, err := r.Causes(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			filters, got = append(filters, f), append(got, causes)
		}
		change("CREATE TABLE kept AS SELECT id, cause FROM dead_letters")
		change("UPDATE dead_letters SET cause = NULL")
		for i, f := range filters {
			if want, err := r.Causes(t.Context(), f); err != nil || !slices.Equal(got[i], want) {
				t.Errorf("after %q, %+v:\n%+v, %v; want\n%+v", act, f, got[i], err, want)
			}
		}
		change("UPDATE dead_letters SET cause = (SELECT cause FROM kept k WHERE k.id = dead_letters.id)")
		change("DROP TABLE kept")
	}
}

// TestLettersAreFoundByAnIndex: who asks for those of one subscription, or of the last hour, does not go through all
// the others.
func TestLettersAreFoundByAnIndex(t *testing.T) {
	t.Parallel()
	r := MustRead(t, manyLetters(t, 100))
	for want, f := range map[string]sqlite.DeadLetterFilter{
		"dead_letters_subscription": {Subscription: "a/two", Status: journal.LetterDead, Limit: 100},
		"dead_letters_type":         {Type: "never", Status: journal.LetterDead, Limit: 100},
		"dead_letters_dead_at":      {Since: time.UnixMicro(1790000000000000), Status: journal.LetterDead, Limit: 100},
	} {
		plan, err := sqlite.PlanOfLetters(t.Context(), r, f)
		if err != nil || !strings.Contains(plan, want) || strings.Contains(plan, "SCAN l") || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%+v is read by\n%s\n%v; want %s, and nothing gone through or sorted", f, plan, err, want)
		}
	}
}

// TestActsTellBatchByBatch: what an act was done to is told as it becomes durable, and is not kept.
func TestActsTellBatchByBatch(t *testing.T) {
	t.Parallel()
	path := manyLetters(t, 1200)
	told, most := 0, 0
	kept, err := sqlite.Drop(t.Context(), path, sqlite.Act{Reason: "test", Select: sqlite.DeadLetterFilter{Subscription: "a/one"},
		Each: func(batch []journal.DeadLetter) { told, most = told+len(batch), max(most, len(batch)) }})
	if want := 1200 - 120; err != nil || told != want || len(kept) != 0 || most > 250 {
		t.Errorf("%v: told of %d, %d at once, and kept %d; want %d, 250, none", err, told, most, len(kept), want)
	}
	if _, err := sqlite.Drop(t.Context(), path, sqlite.Act{Reason: "test", Select: sqlite.DeadLetterFilter{Subscription: "a/one"},
		Each: func([]journal.DeadLetter) { t.Error("told of none") }}); err == nil || !strings.Contains(fmt.Sprint(err), "no dead letter fits") {
		t.Errorf("with none left: %v", err)
	}
}
