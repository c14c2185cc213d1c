package sqlite_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// An observer follows a subscription over its names and its runs from the start, whether it or the deployable knows of
// them first.
func TestObserverFollowsNames(t *testing.T) {
	t.Parallel()
	one := []journal.Subscription{{Name: "test/old", Types: []string{"test.asked"}}}
	j, o := MustObserveSubs(t, filepath.Join(t.TempDir(), "observer.db"), one)
	for i := range 3 {
		mustTake(t, o, &journal.Event{ID: fmt.Sprint(i), Type: "test.asked", CorrelationID: "f", Time: time.Unix(1, 0)})
	}
	n := 0
	record := func(event, subscription, more string) {
		n++
		mustTake(t, o, &journal.Event{ID: fmt.Sprint("r", n), Type: journal.RecordsType, Version: 2, Data: fmt.Appendf(nil,
			`[{"event_id":%q,"event_type":"test.asked","subscription":%q,%s}]`, event, subscription, more)})
	}
	want := func(what string, lines ...string) {
		t.Helper()
		var got []string
		err := j.View(t.Context(), func(tx *sql.Tx) error {
			rows, err := tx.QueryContext(t.Context(), `
SELECT e.id || ' ' || s.name || ' ' || d.outcome FROM subscriptions s JOIN deliveries d ON d.subscription = s.id JOIN events e ON e.seq = d.seq ORDER BY e.seq, s.id`)
			if err != nil {
				return err
			}
			defer func() { _ = rows.Close() }()
			for rows.Next() {
				var line string
				if err := rows.Scan(&line); err != nil {
					return err
				}
				got = append(got, line)
			}
			return rows.Err()
		})
		if err != nil || !slices.Equal(got, lines) {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	const done, was = `"outcome":"done","attempts":1`, `,"was":["test/old"]`
	const dead = `"outcome":"dead","attempts":2,"all_attempts":2,"error":"no"`
	record("0", "test/old", done)
	record("1", "test/new", dead+was)
	record("2", "test/old", done) // a late one
	want("renamed", "0 test/new done", "1 test/new dead", "2 test/new done")
	if _, err := j.Observe(t.Context(), one); err != nil { // a restart of the older program
		t.Fatal(err)
	}
	want("renamed back", "0 test/old done", "1 test/old dead", "2 test/old done")
	record("0", "test/new", done+was)
	if _, err := j.Observe(t.Context(), []journal.Subscription{{Name: "test/new", Was: []string{"test/old"}, Types: []string{"test.asked"}}}); err != nil {
		t.Fatal(err)
	}
	record("1", "test/new", done+was+`,"rebuilds":1`)
	record("2", "test/new", dead+was) // of the former run
	want("rebuilt", "0 test/new (before rebuild 1) done", "1 test/new (before rebuild 1) dropped", "1 test/new done", "2 test/new (before rebuild 1) done")
	if wrong, err := j.Reader().Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("%q, %v", wrong, err)
	}
}
