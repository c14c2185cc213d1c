package sqlite_test

import (
	"context"
	"database/sql"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// TestMemory: what the journal notes of topics is there when it is opened again, and while it is open at once.
func TestMemory(t *testing.T) {
	t.Parallel()
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "shop.db")
	open := func() *sqlite.Journal {
		j, err := sqlite.Open(ctx, path, sqlite.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	want := func(j *sqlite.Journal, place string, want map[int32]journal.Noted) {
		t.Helper()
		if got, err := j.Memory().Noted(ctx, place); err != nil || !maps.Equal(got, want) {
			t.Errorf("of %s it notes %v, %v, want %v", place, got, err, want)
		}
	}
	j := open()
	m := j.Memory()
	if m.ID() != j.ID() || m.Head() != 0 {
		t.Errorf("it is %s at %d", m.ID(), m.Head())
	}
	m.Note("a", 0, journal.Noted{Topic: "t", Next: 3})
	m.Note("a", 5, journal.Noted{Next: 1})
	m.Note("b", 0, journal.Noted{Topic: "u", Next: 9})
	m.Note("a", 0, journal.Noted{Topic: "t", Next: 4})
	a, b := map[int32]journal.Noted{0: {Topic: "t", Next: 4}, 5: {Next: 1}}, map[int32]journal.Noted{0: {Topic: "u", Next: 9}}
	want(j, "a", a)
	want(j, "none", map[int32]journal.Noted{})
	for range 2 {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		j = open()
		want(j, "a", a)
		want(j, "b", b)
	}
	j.Memory().Note("a", 0, journal.Noted{Topic: "v", Next: 0})
	a[0] = journal.Noted{Topic: "v"}
	want(j, "a", a)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open()
	want(j, "a", a)
	err := j.Do(ctx, journal.Work{}, func(journal.TxFunc) ([]*journal.Event, error) {
		return []*journal.Event{{ID: "1", Type: "t", CorrelationID: "1"}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j = open(); j.Memory().Head() != 1 {
		t.Errorf("behind an event it ends at %d", j.Memory().Head())
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMemoryOfAnIdleJournal: what it notes is on disk soon, although nothing commits: a kill would take it.
func TestMemoryOfAnIdleJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.db")
	j, err := sqlite.Open(t.Context(), path, sqlite.Config{ForeignCheck: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }() // its answer is another test's
	r, err := sqlite.OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }() // it only read
	for next := range int64(2) {
		j.Memory().Note("a", 0, journal.Noted{Topic: "t", Next: next})
		for began, at := time.Now(), int64(-1); at != next; <-time.After(time.Millisecond) {
			err := r.View(t.Context(), func(tx *sql.Tx) error {
				return tx.QueryRowContext(t.Context(), "SELECT coalesce(max(next), -1) FROM places").Scan(&at)
			})
			if err != nil || time.Since(began) > 10*time.Second {
				t.Fatalf("10 s later %d is on disk, want %d: %v", at, next, err)
			}
		}
	}
}
