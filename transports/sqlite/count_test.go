package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// MustCount counts the journal at path row by row.
func MustCount(tb testing.TB, path string) (s sqlite.Stats, lag map[string]int64) {
	tb.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	s.Deliveries, lag = map[journal.Outcome]int64{}, map[string]int64{}
	err = db.QueryRow("SELECT (SELECT count(*) FROM events), (SELECT coalesce(sum(attempts - 1), 0) FROM deliveries WHERE attempts > 1)").Scan(&s.Events, &s.Retries)
	if err != nil {
		tb.Fatal(err)
	}
	rows, err := db.Query(`SELECT 'o', outcome, count(*) FROM deliveries GROUP BY outcome UNION ALL
SELECT 's', s.name, (SELECT count(*) FROM events e WHERE s.retired_at IS NULL AND e.seq > s.cursor AND s.except_of <> (e.type IN (SELECT value FROM json_each(s.types)))
	AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = e.seq AND d.subscription = s.id)) FROM subscriptions s`)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var what, name string
		var n int64
		if err := rows.Scan(&what, &name, &n); err != nil {
			tb.Fatal(err)
		}
		if what == "o" {
			s.Deliveries[journal.Outcome(name)] = n
		} else {
			lag[name] = n
		}
	}
	return s, lag
}

// wantCounts compares what a reader says with the rows.
func wantCounts(tb testing.TB, when, path string) {
	tb.Helper()
	want, lag := MustCount(tb, path)
	got, err := MustRead(tb, path).Stats(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	if got.Events != want.Events || got.Retries != want.Retries || !maps.Equal(got.Deliveries, want.Deliveries) {
		tb.Errorf("%s: %d events, %d retries, %v; the rows say %d, %d, %v", when, got.Events, got.Retries, got.Deliveries, want.Events, want.Retries, want.Deliveries)
	}
	for _, s := range got.Subscriptions {
		if s.Lag != lag[s.Name] {
			tb.Errorf("%s: %s has %d events before it, the rows say %d", when, s.Name, s.Lag, lag[s.Name])
		}
	}
}

// wantBlocks compares what is counted of the log, in memory as it grew or by reading it, with the rows.
func wantBlocks(tb testing.TB, path string) {
	tb.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for what, query := range map[string]string{
		"blocks": `SELECT type, (seq - 1) / 4096, count(*), max(time) FROM events WHERE seq <= 8192 GROUP BY 1, 2 EXCEPT SELECT type, block, events, latest FROM blocks`,
		"keys":   `SELECT key, (seq - 1) / 4096, correlation_id FROM events WHERE seq <= 8192 AND key <> correlation_id EXCEPT SELECT key, block, correlation_id FROM keys`,
	} {
		n := 0
		if err := db.QueryRow("SELECT count(*) FROM (" + query + ")").Scan(&n); err != nil || n > 0 {
			tb.Errorf("%d rows of %s are missing or wrong, %v", n, what, err)
		}
	}
}

// MustBeCounted waits until all full blocks are counted, and returns how many numbers of the log.
func MustBeCounted(tb testing.TB, path string) (upto int64) {
	tb.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := sqlite.CountAll(tb.Context(), db); err != nil {
		tb.Fatal(err)
	}
	if err := db.QueryRow("SELECT coalesce(min(upto), 0) FROM counted").Scan(&upto); err != nil {
		tb.Fatal(err)
	}
	return upto
}

// Counts that are kept say what the rows say, whatever happens to these.
func TestCountsAreThoseOfTheRows(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	repaired := false
	wire := func(m *bus.Module) {
		bus.On(m, "answer", func(_ context.Context, e asked) (bus.Events, error) {
			switch {
			case e.N%50 == 1 && !repaired:
				return nil, bus.Dead(fmt.Errorf("no"))
			case e.N%50 == 2:
				return nil, bus.Drop("not wanted")
			}
			return nil, nil
		})
		bus.On(m, "second", func(_ context.Context, e asked) (bus.Events, error) {
			if e.N%97 == 5 && rand.N(2) == 0 {
				return nil, fmt.Errorf("once more")
			}
			return nil, nil
		})
	}
	a := MustRun(t, path, wire)
	for i := range 90 {
		events := make([]bus.Event, 100)
		for k := range events {
			events[k] = asked{Key: fmt.Sprint(k), N: i*100 + k}
		}
		if _, err := a.m.Publish(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Quiet(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "while it runs", path)
	a.stop()
	if upto := MustBeCounted(t, path); upto < 8192 {
		t.Errorf("9000 events are counted up to %d", upto)
	}
	wantCounts(t, "when it is closed", path)
	wantBlocks(t, path)

	repaired = true
	if _, err := sqlite.Replay(t.Context(), path, sqlite.Act{Actor: "me", Reason: "it is repaired"}); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "when dead letters are to be replayed", path)
	a = MustRun(t, path, wire)
	if err := a.Quiet(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.stop()
	wantCounts(t, "when they are replayed", path)

	for when, change := range map[string]string{
		"with a subscription far behind": "UPDATE subscriptions SET cursor = 100 WHERE name = 'test/second'; DELETE FROM deliveries WHERE seq > 150 AND subscription = (SELECT id FROM subscriptions WHERE name = 'test/second')",
		"with one that is retired":       "UPDATE subscriptions SET retired_at = 1 WHERE name = 'test/answer'",
	} {
		MustExec(t, path, change)
		wantCounts(t, when, path)
		MustBeCounted(t, path)
		wantCounts(t, when+", counted anew", path)
	}
	MustExec(t, path, "UPDATE subscriptions SET retired_at = NULL, cursor = 5000 WHERE name = 'test/answer'; DELETE FROM deliveries WHERE seq > 7000 AND subscription = (SELECT id FROM subscriptions WHERE name = 'test/answer')")
	wantCounts(t, "with one that is back", path)
	MustExec(t, path, "DELETE FROM deliveries WHERE subscription = (SELECT id FROM subscriptions WHERE name = 'test/answer'); DELETE FROM subscriptions WHERE name = 'test/answer'")
	MustBeCounted(t, path)
	wantCounts(t, "with one that is gone", path)
}
