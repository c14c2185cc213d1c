package sqlite

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/count"
)

// TestDeadLettersOfAnOlderJournal: a journal that comes from an older program has the types of its dead letters once
// it is brought up to date, and their causes some time later.
func TestDeadLettersOfAnOlderJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	mustMakeOlder(t, path)
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, query := range []string{`
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
INSERT INTO events (id, type, key, time, correlation_id, data) SELECT 'e' || i, iif(i % 10, 't', 'u'), 'k', 1, 'k', x'7b7d' FROM n`, `
INSERT INTO dead_letters (seq, subscription, error, attempts, first_failed_at, dead_at)
SELECT seq, (SELECT id FROM subscriptions WHERE name = 'm/s'), 'no ' || seq, 1, 1, seq FROM events`, `
INSERT INTO deliveries (seq, subscription, outcome, attempts, started_at, duration) SELECT seq, subscription, 'dead', 1, 1, 1 FROM dead_letters`} {
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	j := mustOpen(t, path)
	if err := j.Do(t.Context(), journal.Work{}, func(journal.TxFunc) ([]*journal.Event, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	for given := 0; given < count.LetterBatch; { // in the background
		if err := db.QueryRowContext(t.Context(), "SELECT count(cause) FROM dead_letters").Scan(&given); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, j)
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for kind, want := range map[string]int{"t": 900, "u": 100, "v": 0} {
		listed, counted := 0, 0
		_, err := r.ListDeadLetters(t.Context(), DeadLetterFilter{Type: kind}, func(*journal.DeadLetter) error { listed++; return nil })
		causes, causesErr := r.Causes(t.Context(), DeadLetterFilter{Type: kind})
		for _, c := range causes {
			counted += c.Count
		}
		if listed != want || counted != want || len(causes) > 1 || err != nil || causesErr != nil {
			t.Errorf("of type %s: %d letters, %v, and causes %+v, %v; want %d", kind, listed, err, causes, causesErr, want)
		}
	}
}
