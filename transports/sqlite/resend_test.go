package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/troupebus/troupe/bus/journal"
)

// TestOverACarrierThatWasRestored sends everything again when the carrier is another one by its name, or says itself
// that it is, and only then.
func TestOverACarrierThatWasRestored(t *testing.T) {
	t.Parallel()
	j := mustOpen(t, filepath.Join(t.TempDir(), "j.db"))
	mustFeed(t, j, journal.FeedEvents)
	mustAppend(t, j, plain("1"), plain("2"), plain("3"))
	const id = journal.IdentityMark
	for i, step := range []struct {
		carrier string
		again   bool
	}{
		{"tables", false},            // the first one
		{"tables" + id + "1", false}, // its identity was not known before
		{"tables" + id + "1", false},
		{"tables", false}, // it cannot be asked now
		{"tables" + id + "1", false},
		{"tables" + id + "2", true},
		{"tables", false},
		{"tables" + id + "1", true}, // what was noted last is 2
		{"others", true},
		{"others" + id + "1", false},
		{"tables" + id + "1", true},
	} {
		err := j.Do(t.Context(), journal.Work{Name: "test"}, func(tx journal.TxFunc) ([]*journal.Event, error) {
			_, err := tx().ExecContext(t.Context(), "UPDATE subscriptions SET cursor = 3 WHERE name = 'relay'")
			return nil, err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := j.UseBackend(t.Context(), step.carrier); err != nil {
			t.Fatal(err)
		}
		var cursor int64
		if err := j.readers.QueryRowContext(t.Context(), "SELECT cursor FROM subscriptions WHERE name = 'relay'").Scan(&cursor); err != nil {
			t.Fatal(err)
		}
		if again := cursor == 0; again != step.again {
			t.Errorf("step %d, over %s: everything is sent again: %v, want %v", i, step.carrier, again, step.again)
		}
	}
}
