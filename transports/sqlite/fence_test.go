package sqlite

import (
	"database/sql"
	"errors"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus/journal"
)

// A temporary table hides one of the same name from every later statement of the connection: what the journal writes
// would go there, and be gone at the next start.
func TestNothingHidesTheJournalsTables(t *testing.T) {
	t.Parallel()
	j := mustOpenQuiet(t)
	own := map[string]bool{"sqlite_sequence": true}
	err := j.View(t.Context(), func(tx *sql.Tx) error {
		rows, err := tx.Query("SELECT name FROM sqlite_schema WHERE type = 'table'")
		if err != nil {
			return err
		}
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			own[name] = true
		}
		return rows.Err()
	})
	if err != nil || !maps.Equal(own, journalTables) {
		t.Errorf("the journal's tables are %v, %v", own, err)
	}
	for _, what := range []string{"TABLE PENDING (x)", "VIEW events AS SELECT 1", "TABLE pending AS SELECT 1"} {
		err := <-queue(t, j, 0, func(u *unit) {
			_, err := u.Tx().Exec("CREATE TEMP " + what)
			if err == nil || !strings.Contains(err.Error(), "choose another name") {
				t.Errorf("CREATE TEMP %s: %v", what, err)
			}
		})
		if err != nil {
			t.Errorf("work that was refused CREATE TEMP %s: %v", what, err)
		}
	}
	err = <-queue(t, j, 0, func(u *unit) {
		if _, err := u.Tx().Exec("CREATE TEMP TABLE mine AS SELECT 1 AS x"); err != nil {
			t.Errorf("a temporary table of its own: %v", err)
		}
	})
	if err := errors.Join(err, j.Close()); err != nil {
		t.Error(err)
	}
}

// A migration runs on the connection through which everybody writes: what it changes of that would last until the next
// start, or for ever.
func TestMigrationsLeaveTheConnectionAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j := mustOpen(t, path)
	for _, text := range []string{
		"PRAGMA query_only = ON", "PRAGMA locking_mode = EXCLUSIVE", "PRAGMA application_id = 5", "PRAGMA user_version = 7",
		"PRAGMA max_page_count = 30", "PRAGMA ignore_check_constraints = ON", "CREATE TEMP TABLE events (x)",
	} {
		err := j.Migrate(t.Context(), "m", files("0001.sql", "CREATE TABLE m_a (x);\n"+text))
		if err == nil || !strings.Contains(err.Error(), "may not") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := j.Do(t.Context(), journal.Work{}, func(tx journal.TxFunc) ([]*journal.Event, error) {
		_, err := tx().Exec("CREATE TABLE m_b (x)")
		return nil, err
	}); err != nil {
		t.Errorf("work after them: %v", err)
	}
	harmless := "PRAGMA foreign_keys = OFF; PRAGMA defer_foreign_keys = ON; CREATE TABLE m_a (x)"
	mustMigrate(t, j, "m", files("0001.sql", harmless))
	mustClose(t, j)
	mustClose(t, mustOpen(t, path))
}
