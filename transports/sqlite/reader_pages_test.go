package sqlite_test

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// MustFill appends n events, in no order of time, of which some have a key of their own, and returns them.
func MustFill(tb testing.TB, j *sqlite.Journal, n int) (all []*journal.Event) {
	tb.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		e := &journal.Event{ID: fmt.Sprint(i), Type: "often", Key: fmt.Sprint("k", rnd.IntN(50)), Data: []byte("{}"), Hops: i % 3,
			Time: start.Add(time.Duration(i)*time.Second + time.Duration(rnd.IntN(7200))*time.Second)}
		e.CorrelationID = e.Key
		if rnd.IntN(4) == 0 {
			e.CorrelationID = fmt.Sprint("k", rnd.IntN(50))
		}
		switch {
		case i%1000 == 7:
			e.Type = "seldom"
		case i == 2000:
			e.Type = "once"
		}
		all = append(all, e)
	}
	for part := range slices.Chunk(all, 500) {
		err := j.Do(tb.Context(), journal.Work{Name: "test"}, func(journal.TxFunc) ([]*journal.Event, error) { return part, nil })
		if err != nil {
			tb.Fatal(err)
		}
	}
	return all
}

// pick does slowly what Events does.
func pick(all []*journal.Event, f sqlite.EventFilter, observed bool) (seqs []int64) {
	all = slices.Clone(all)
	if observed && f.Newest {
		slices.SortFunc(all, func(a, b *journal.Event) int {
			return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Hops, b.Hops), cmp.Compare(a.Seq, b.Seq))
		})
	}
	for _, e := range all {
		if e.Seq > f.AfterSeq && (len(f.Types) == 0 || slices.Contains(f.Types, e.Type)) && (f.Key == "" || f.Key == e.Key) &&
			(f.Flow == "" || f.Flow == e.CorrelationID) && !e.Time.Before(f.Since) {
			seqs = append(seqs, e.Seq)
		}
	}
	switch {
	case f.Limit == 0 || len(seqs) <= f.Limit:
		return seqs
	case f.Newest:
		return seqs[len(seqs)-f.Limit:]
	default:
		return seqs[:f.Limit]
	}
}

func TestEventsOfEveryFilter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j := MustOpen(t, path, sqlite.Config{Synchronous: "off"})
	all := MustFill(t, j, 10_000)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, how := range []string{"", "counted", "observed"} {
		switch how {
		case "counted":
			if err := sqlite.CountAll(t.Context(), db); err != nil {
				t.Fatal(err)
			}
		case "observed":
			if _, err := db.Exec("INSERT INTO observer (since) VALUES (0)"); err != nil {
				t.Fatal(err)
			}
		}
		r := MustRead(t, path)
		rnd := rand.New(rand.NewPCG(3, 4))
		one := func(of ...string) string { return of[rnd.IntN(len(of))] }
		for range 150 {
			f := sqlite.EventFilter{Key: one("", "", "k1", "k49", "none"), Flow: one("", "", "", "k2", "none"), Newest: rnd.IntN(2) == 0,
				Limit: []int{0, 1, 100, 3000}[rnd.IntN(4)], AfterSeq: []int64{0, 0, 4096, 5000, 9990, 20000}[rnd.IntN(6)]}
			if typ := one("", "", "seldom", "once", "none"); typ != "" {
				f.Types = []string{typ, "other"}
			}
			if rnd.IntN(3) == 0 {
				f.Since = all[rnd.IntN(len(all))].Time
			}
			var got []int64
			if err := r.Events(t.Context(), f, func(e *journal.Event) error { got = append(got, e.Seq); return nil }); err != nil {
				t.Fatalf("%s %+v: %v", how, f, err)
			}
			if want := pick(all, f, how == "observed"); !slices.Equal(got, want) {
				t.Fatalf("%s %+v: %d events, want %d: %v, %v", how, f, len(got), len(want), got[:min(len(got), 5)], want[:min(len(want), 5)])
			}
		}
	}
}

// Who reads slowly does not keep the log from starting over.
func TestAReaderWhoTakesHisTimeHoldsNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j := MustOpen(t, path, sqlite.Config{Synchronous: "off"})
	defer func() { _ = j.Close() }()
	MustFill(t, j, 2500)
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	n := 0
	err = MustRead(t, path).Events(t.Context(), sqlite.EventFilter{}, func(*journal.Event) error {
		if n++; n%500 != 1 {
			return nil
		}
		MustAppend(t, j, &journal.Event{ID: fmt.Sprint("new", n), Type: "t", CorrelationID: "f"})
		var busy, length, copied int
		err := db.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(RESTART)").Scan(&busy, &length, &copied)
		if busy != 0 || length != copied {
			t.Errorf("at event %d, %d of %d pages of the log can be copied, and it is held: %d", n, copied, length, busy)
		}
		return err
	})
	if err != nil || n != 2500 {
		t.Errorf("%d events, %v", n, err)
	}
}

// A page has a bound in bytes: of large events, few are in memory at once.
func TestLargeEventsInPages(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j := MustOpen(t, path, sqlite.Config{Synchronous: "off"})
	defer func() { _ = j.Close() }()
	err := j.Do(t.Context(), journal.Work{Name: "test"}, func(journal.TxFunc) (all []*journal.Event, err error) {
		for i := range 20 {
			all = append(all, &journal.Event{ID: fmt.Sprint(i), Type: "t", CorrelationID: "f", Data: make([]byte, 1<<20)})
		}
		return all, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []sqlite.EventFilter{{}, {Limit: 15}, {Limit: 15, Newest: true}, {Flow: "f"}} {
		var got []int64
		if err := MustRead(t, path).Events(t.Context(), f, func(e *journal.Event) error { got = append(got, e.Seq); return nil }); err != nil {
			t.Fatal(err)
		}
		want := 20
		if f.Limit > 0 {
			want = f.Limit
		}
		if len(got) != want || !slices.IsSorted(got) {
			t.Errorf("%+v: %v", f, got)
		}
	}
}
