package schema

import (
	"strings"
	"testing"

	"github.com/mattn/go-sqlite3"
)

func TestOwnTransaction(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"CREATE TABLE t (x);":       "",
		"":                          "",
		";;":                        "",
		"BEGIN; CREATE TABLE t (x)": "BEGIN",
		"CREATE TABLE t (x);\n -- no\n /* nor */ commit": "COMMIT",
		"SELECT 1;END":                                "END",
		"SELECT 0;\vCOMMIT":                           "COMMIT",
		"SELECT 0; \u00a0\u3000COMMIT":                "COMMIT",
		"Rollback to x":                               "ROLLBACK",
		"SAVEPOINT x":                                 "SAVEPOINT",
		"; release x":                                 "RELEASE",
		"ATTACH 'x' AS y":                             "ATTACH",
		"DETACH y":                                    "DETACH",
		"INSERT INTO t VALUES (';COMMIT;')":           "",
		"INSERT INTO t VALUES ('it''s;COMMIT;')":      "",
		"SELECT \"; COMMIT\", [; COMMIT], `; COMMIT`": "",
		"-- COMMIT\n/* COMMIT; */ SELECT 1":           "",
		"CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; INSERT INTO t VALUES (1); END; SELECT 1": "",
		"create temp trigger if not exists a after insert on t begin select 1; end ; COMMIT":                                "COMMIT",
		"CREATE TABLE trigger_t (x); COMMIT":     "COMMIT",
		"CREATE TABLE a (beginning, committed);": "",
		"SELECT 1 -- no end":                     "",
		"SELECT 'no end; COMMIT":                 "",
		"/* no end; COMMIT":                      "",
	} {
		if got := ownTransaction(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// FuzzOwnTransaction: SQLite itself never sees a statement about transactions that the look at the text did not.
func FuzzOwnTransaction(f *testing.F) {
	for _, text := range []string{"SELECT 1; COMMIT", "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; END; ROLLBACK", "/**/BEGIN", "'a';SAVEPOINT x", "EXPLAIN COMMIT", "SELECT 0;\vCOMMIT", "SELECT 0;\u00a0COMMIT",
		"CREATE TEMP TRIGGER a AFTER INSERT ON t BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; END;ATTACH 'x' AS y"} {
		f.Add(text)
	}
	conn, err := (&sqlite3.SQLiteDriver{}).Open(":memory:")
	if err != nil {
		f.Fatal(err)
	}
	c := conn.(*sqlite3.SQLiteConn)
	if _, err := c.Exec("CREATE TABLE t (x)", nil); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		seen := false
		c.RegisterAuthorizer(func(op int, _, _, _ string) int {
			switch op {
			case sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT, sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH:
				seen = true
			case sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_CREATE_TEMP_TRIGGER, sqlite3.SQLITE_CREATE_TRIGGER:
				return sqlite3.SQLITE_OK
			}
			return sqlite3.SQLITE_DENY
		})
		stmts, said := text, ownTransaction(text)
		_, _ = c.Exec(stmts, nil) // most of it is no SQL
		c.RegisterAuthorizer(nil)
		if seen && said == "" && !strings.Contains(strings.ToUpper(text), "EXPLAIN") {
			t.Fatalf("%q is about transactions", text)
		}
	})
}
