package sqlite

import (
	"database/sql"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/schema"
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
	if err != nil || !maps.Equal(own, schema.Tables) {
		t.Errorf("the journal's tables are %v, %v", own, err)
	}
	mustClose(t, j)
}

// What is temporary lasts as long as the connection, through which everybody writes: no work leaves any of it behind.
func TestWorkLeavesNothingTemporary(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j := mustOpen(t, path)
	mustMigrate(t, j, "m", files("0001.sql", "CREATE TABLE m_rows (text TEXT)"))
	for _, what := range []string{
		"TABLE PENDING (x)", "VIEW events AS SELECT 1", "TABLE pending AS SELECT 1", "TABLE mine (x)", "VIEW mine AS SELECT 1",
		"TRIGGER mine AFTER INSERT ON main.events BEGIN DELETE FROM m_rows; END",
		"TRIGGER mine AFTER INSERT ON m_rows BEGIN SELECT RAISE(FAIL, 'mine'); END",
	} {
		err := <-queue(t, j, 0, func(u *commit.Unit) {
			_, err := u.Tx().Exec("CREATE TEMP " + what)
			if err == nil || !strings.Contains(err.Error(), "may not make a temporary") {
				t.Errorf("CREATE TEMP %s: %v", what, err)
			}
			insert(t, u.Tx(), what)
		})
		if err != nil {
			t.Errorf("work that was refused CREATE TEMP %s: %v", what, err)
		}
		err = j.Migrate(t.Context(), "n", files("0001.sql", "CREATE TEMP "+what))
		if err == nil || !strings.Contains(err.Error(), "temporary") {
			t.Errorf("a migration with CREATE TEMP %s: %v", what, err)
		}
		if err := j.View(t.Context(), func(tx *sql.Tx) error {
			if _, err := tx.Exec("CREATE TEMP " + what); err == nil {
				t.Errorf("a view makes a temporary %s", what)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	mustMigrate(t, j, "n", files("0001.sql", "CREATE TEMP TABLE kept AS SELECT * FROM m_rows; DELETE FROM m_rows; "+
		"INSERT INTO m_rows SELECT count(*) FROM kept; DROP TABLE kept"))
	mustHaveRows(t, j, "7")
	mustClose(t, j)
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

// A module that forgets the prefix of its tables may mean one of the journal's, which has events and deliveries as
// many a business has.
func TestModulesLeaveTheJournalsTablesAlone(t *testing.T) {
	t.Parallel()
	j := mustOpenQuiet(t)
	mustMigrate(t, j, "m", files("0001.sql", "CREATE TABLE m_rows (text TEXT)"))
	for _, text := range []string{
		"DELETE FROM events", "UPDATE Deliveries SET attempts = 1", "INSERT INTO acts DEFAULT VALUES", "DROP TABLE IF EXISTS deliveries",
		"CREATE TABLE IF NOT EXISTS deliveries (x)", "ALTER TABLE events ADD COLUMN x", "CREATE UNIQUE INDEX m_one ON events (key)",
		"DROP INDEX events_correlation", "CREATE TRIGGER m_hears AFTER INSERT ON events BEGIN DELETE FROM m_rows; END",
		"CREATE TRIGGER m_tells AFTER INSERT ON m_rows BEGIN DELETE FROM events; END; INSERT INTO m_rows VALUES ('x')",
		"INSERT INTO events (id, type, time) VALUES ('a', 't', 0) ON CONFLICT (id, type) DO UPDATE SET key = 'x'",
	} {
		const want = "is the journal's, which modules may only read"
		err := j.Do(t.Context(), journal.Work{Module: "m", Name: "m"}, func(tx journal.TxFunc) ([]*journal.Event, error) {
			_, err := tx().Exec(text)
			return nil, err
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("work with %s: %v", text, err)
		}
		err = j.Migrate(t.Context(), "n", files("0001.sql", text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a migration with %s: %v", text, err)
		}
	}
	mustMigrate(t, j, "n", files("0001.sql", "CREATE TABLE n_a (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO n_a DEFAULT VALUES; "+
		"ALTER TABLE n_a RENAME TO n_b; CREATE VIEW n_events AS SELECT id FROM events; DROP TABLE n_b"))
	mustClose(t, j)
}
