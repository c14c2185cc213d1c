package move

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
)

// TestTiesWithOddNames ties tables of odd names together. Each tie is reported, and keeps the split from being made.
func TestTiesWithOddNames(t *testing.T) {
	t.Parallel()
	shop := MustMake(t, rand.New(rand.NewPCG(9, 9)))
	db, err := sql.Open("sqlite3", dbfile.URI(shop))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		`CREATE TABLE "payment_my cards" (a)`, `CREATE TABLE payment_cost$ (a)`, `CREATE TABLE "order_line items" (a)`,
		`CREATE TRIGGER order_1 AFTER INSERT ON order_orders BEGIN INSERT INTO "payment_my cards" VALUES (1); END`,
		`CREATE TRIGGER order_2 AFTER INSERT ON order_orders BEGIN INSERT INTO [PAYMENT_MY CARDS] VALUES (1); END`,
		`CREATE TRIGGER order_3 AFTER INSERT ON "order_line items" BEGIN INSERT INTO payment_cost$ VALUES (1); END`,
		`CREATE TRIGGER payment_4 AFTER INSERT ON payment_cost$ BEGIN DELETE FROM ` + "`order_line items`" + `; END`,
		`CREATE VIEW order_5 AS SELECT * FROM "payment_my cards"`,
		`CREATE TABLE payment_6 (e INTEGER REFERENCES EVENTS (seq))`,
		`CREATE TRIGGER payment_7 AFTER INSERT ON EVENTS BEGIN SELECT 1; END`,
		`CREATE TRIGGER other_8 AFTER INSERT ON Deliveries BEGIN INSERT INTO "payment_my cards" VALUES (1); END`,
		`CREATE INDEX payment_9 ON events (hops)`,
		`CREATE VIEW payment_fine AS SELECT * FROM events`,
		`CREATE TRIGGER order_fine AFTER INSERT ON order_orders BEGIN SELECT 'x'; /* payment_cost$ */ END`,
	} {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	found, err := Trespasses(t.Context(), shop, []string{"payment"})
	if err != nil {
		t.Fatal(err)
	}
	var where []string
	for _, f := range found {
		where = append(where, f.Where)
	}
	want := []string{"order_1", "order_2", "order_3", "order_5", "other_8", "payment_4", "payment_6", "payment_7", "payment_9"}
	if where = slices.Compact(sorted(where)); !slices.Equal(where, want) {
		t.Errorf("ties are %q, want %q", where, want)
	}
	if _, err := Split(t.Context(), Options{Journal: shop, Other: filepath.Join(t.TempDir(), "new.db"), Modules: []string{"payment"}}); err == nil {
		t.Error("the journal is split")
	}
}

// TestOddTablesMove moves tables, indexes, views and triggers of odd names and kinds, with what is in them, there and back.
func TestOddTablesMove(t *testing.T) {
	t.Parallel()
	shop := MustMake(t, rand.New(rand.NewPCG(4, 4)))
	m := mustTouch(t, nil, shop)
	for _, text := range []string{
		`CREATE TABLE "payment_my cards" ("a b" TEXT, "rowid" INTEGER, c$ REAL DEFAULT 1.5, "order" BLOB)`,
		`CREATE TABLE [payment_say "so"] (id INTEGER PRIMARY KEY DESC, oid TEXT, _rowid_ TEXT)`,
		`CREATE TABLE payment_g (a INTEGER, v INTEGER AS (a + 1) VIRTUAL, s TEXT AS (a || '!') STORED UNIQUE, b INTEGER NOT NULL DEFAULT (1 + 1)) STRICT`,
		`CREATE TABLE payment_w (k TEXT COLLATE NOCASE, n INTEGER, PRIMARY KEY (k, n)) STRICT, WITHOUT ROWID`,
		`CREATE TABLE payment_child (p INTEGER REFERENCES payment_parent (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED)`,
		`CREATE TABLE payment_parent (id INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER REFERENCES payment_parent)`,
		`CREATE UNIQUE INDEX "payment_by a" ON "payment_my cards" (lower("a b")) WHERE c$ > 0`,
		`CREATE VIEW "payment_all of it" AS SELECT "a b" FROM "payment_my cards" UNION ALL SELECT k FROM payment_w`,
		`CREATE TRIGGER "payment_in stead" INSTEAD OF INSERT ON "payment_all of it" BEGIN INSERT INTO "payment_my cards" ("a b") VALUES (new."a b"); END`,
		`CREATE TRIGGER PAYMENT_CAPS AFTER DELETE ON PAYMENT_G BEGIN INSERT INTO payment_parent (parent) VALUES (NULL); END`,
		`CREATE VIRTUAL TABLE order_words USING fts4 (text)`, `INSERT INTO order_words VALUES ('what stays may be searched')`, // it does not move
		`CREATE VIRTUAL TABLE order_map USING rtree (id, x0, x1)`, `INSERT INTO order_map VALUES (1, 2, 3)`,
		`INSERT INTO "payment_all of it" VALUES ('x'), ('y' || char(0) || 'z'), (NULL)`,
		`INSERT INTO [payment_say "so"] (rowid, oid, _rowid_) VALUES (7, 'a', 'b'), (3, 'c', 'd')`,
		`INSERT INTO payment_g (a) VALUES (1), (9223372036854775806), (NULL)`,
		`INSERT INTO payment_w VALUES ('k', 1), ('K', 2)`,
		`INSERT INTO payment_parent (id, parent) VALUES (5, 6), (6, 5)`, `INSERT INTO payment_child VALUES (5), (6)`, `DELETE FROM payment_g WHERE a IS NULL`,
	} {
		m.exec(text)
	}
	was := oddDump(m)
	o := Options{Journal: shop, Other: filepath.Join(t.TempDir(), "new.db"), Modules: []string{"payment"}, NoBackup: true}
	if _, err := Split(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	there := mustTouch(t, nil, o.Other)
	if is := oddDump(there); !slices.Equal(is, was) {
		t.Errorf("after the split:\n%s\nwant\n%s", strings.Join(is, "\n"), strings.Join(was, "\n"))
	}
	if left := column[string](m, "SELECT name FROM sqlite_schema WHERE name LIKE 'payment\\_%' ESCAPE '\\' AND name NOT LIKE 'payment_audit%'"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if _, err := Merge(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if is := oddDump(m); !slices.Equal(is, was) {
		t.Errorf("after the merge:\n%s\nwant\n%s", strings.Join(is, "\n"), strings.Join(was, "\n"))
	}
	if _, err := sqlite.Open(t.Context(), o.Other, sqlite.Config{}); err == nil {
		t.Error("the journal that was left opens")
	}
}

// oddDump is what TestOddTablesMove has made, in the letters of SQL.
func oddDump(m *made) (lines []string) {
	lines = column[string](m, `SELECT type || ' ' || name || ' ' || tbl_name || ': ' || sql FROM sqlite_schema
WHERE tbl_name LIKE 'payment\_%' ESCAPE '\' AND tbl_name NOT LIKE 'payment_audit%' AND sql IS NOT NULL ORDER BY 1`)
	for table, columns := range map[string]string{
		`"payment_my cards"`: `_rowid_, "a b", "rowid", c$, "order"`, `[payment_say "so"]`: `id, oid, _rowid_`, "payment_g": "rowid, a, v, s, b",
		"payment_w": "k, n", "payment_child": "rowid, p", "payment_parent": "id, parent",
	} {
		var quoted []string
		for _, c := range strings.Split(columns, ", ") {
			quoted = append(quoted, "quote("+c+")")
		}
		lines = append(lines, column[string](m, fmt.Sprintf("SELECT '%s ' || %s FROM %s", strings.ReplaceAll(table, "'", "''"), strings.Join(quoted, " || ' ' || "), table))...)
	}
	lines = append(lines, column[string](m, "SELECT name || ' ' || seq FROM sqlite_sequence WHERE name = 'payment_parent'")...)
	slices.Sort(lines)
	return lines
}
