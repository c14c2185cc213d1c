package observer_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/internal/observer"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// TestAnObserverStartsWithoutReadingItsLog: what is written at its start for each subscription goes through no events.
func TestAnObserverStartsWithoutReadingItsLog(t *testing.T) {
	t.Parallel()
	j, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "j.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	err = j.Reader().View(t.Context(), func(tx *sql.Tx) error {
		return row.Each(t.Context(), tx, row.SQL("EXPLAIN QUERY PLAN "+observer.ObserveSubscription, "a", "[]"), func(rows *sql.Rows) error {
			var id, parent, unused int
			var detail string
			err := rows.Scan(&id, &parent, &unused, &detail)
			if strings.Contains(detail, "SCAN events") {
				t.Error(detail)
			}
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}
