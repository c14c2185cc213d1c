package arch

import (
	"regexp"
	"strings"
	"testing"
)

// inSQL matches what may hold any text: comments and quoted strings.
var inSQL = regexp.MustCompile(`(?s)--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'`)

// createTable matches the head of a statement that makes a table; the name follows, perhaps quoted.
var createTable = regexp.MustCompile("(?is)^\\s*create\\s+(?:temp(?:orary)?\\s+|virtual\\s+)?table\\s+(?:if\\s+not\\s+exists\\s+)?[\"`\\[]?([\\w.]+)")

// strict matches the options after a table's last bracket.
var strict = regexp.MustCompile(`(?i)\bstrict\b[^()]*$`)

// schemaOf names the module that a file of SQL belongs to.
func schemaOf(path string) (module string, ok bool) {
	parts := strings.Split(path, "/")
	if len(parts) < 4 || parts[0] != "domain" || parts[2] != "schema" {
		return "", false
	}
	return parts[1], true
}

// checkSchema holds one file of a module's schema against the rule for tables.
func checkSchema(path, module, text string) []violation {
	var found []violation
	for statement := range strings.SplitSeq(inSQL.ReplaceAllString(text, " "), ";") {
		m := createTable.FindStringSubmatch(statement)
		if m == nil {
			continue
		}
		where := path + " creates " + m[1]
		if !strings.HasPrefix(m[1], module+"_") {
			found = append(found, violation{where, "a module's tables begin with its name", "call it " + module + "_" + m[1]})
		}
		if !strict.MatchString(statement) {
			found = append(found, violation{where, "every table is STRICT", "end the statement with ) STRICT;"})
		}
	}
	return found
}

func TestCheckSchema(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, sql, wants string }{
		{"good", "CREATE TABLE order_orders (id TEXT PRIMARY KEY) STRICT;", ""},
		{"good with more options", "create table if not exists \"order_x\" (a INT) strict, without rowid;", ""},
		{"index and trigger", "CREATE INDEX by_day ON order_orders (day); CREATE TRIGGER t AFTER INSERT ON order_orders BEGIN SELECT 1; END;", ""},
		{"in a comment", "-- CREATE TABLE payment_x (a INT);\n/* ; CREATE TABLE y (a INT); */", ""},
		{"in a string", "INSERT INTO order_x VALUES ('; CREATE TABLE y (a INT);');", ""},
		{"another module's name", "CREATE TABLE payment_x (a INT) STRICT;", "a module's tables begin"},
		{"no prefix", "CREATE TABLE IF NOT EXISTS orders (a INT) STRICT;", "a module's tables begin"},
		{"the name without underscore", "CREATE TABLE orderlines (a INT) STRICT;", "a module's tables begin"},
		{"not strict", "CREATE TABLE order_x (a INT CHECK (a > 0));", "every table is STRICT"},
		{"strict is a column only", "CREATE TABLE order_x (strict INT);", "every table is STRICT"},
		{"strict in a comment only", "CREATE TABLE order_x (a INT) -- STRICT\n;", "every table is STRICT"},
		{"from a query", "CREATE TABLE order_x AS SELECT 1 AS a;", "every table is STRICT"},
		{"the second statement", "CREATE TABLE order_x (a INT) STRICT; CREATE TEMP TABLE y (a INT) STRICT", "a module's tables begin"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			expectRule(t, checkSchema("domain/order/schema/0001.sql", "order", tt.sql), tt.wants)
		})
	}
}

func TestSchemaOf(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"domain/order/schema/0001_orders.sql":                       "order",
		"domain/added_later/schema/0001_tables.sql":                 "added_later",
		"transports/sqlite/internal/schema/schema/0001_journal.sql": "",
		"domain/order/queries/all.sql":                              "",
	} {
		if got, ok := schemaOf(path); got != want || ok != (want != "") {
			t.Errorf("schemaOf(%s) = %q, %v, want %q", path, got, ok, want)
		}
	}
}
