package sqlite

import (
	"strings"

	"github.com/mattn/go-sqlite3"
)

// fence keeps modules out of each other's tables: SQLite asks it about every table that a statement touches. A nil fence
// lets everything pass. Only the writer's goroutine uses it.
type fence struct {
	module string // whose work is running; "" for the journal's own
	tell   func(module, table string)
}

func newFence(c *sqlite3.SQLiteConn, tell func(module, table string)) *fence {
	f := &fence{tell: tell}
	c.RegisterAuthorizer(f.allow)
	return f
}

func (f *fence) enter(module string) {
	if f != nil {
		f.module = module
	}
}

func (f *fence) leave() {
	if f != nil {
		f.module = ""
	}
}

// allow is SQLite's question (https://www.sqlite.org/c3ref/set_authorizer.html). For the operations on tables the first
// argument is the table.
func (f *fence) allow(op int, table, _, _ string) int {
	if f.module == "" || strings.HasPrefix(table, f.module+"_") {
		return sqlite3.SQLITE_OK
	}
	switch op {
	case sqlite3.SQLITE_READ, sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE,
		sqlite3.SQLITE_ALTER_TABLE, sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_PRAGMA,
		sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_DROP_TABLE:
	default:
		return sqlite3.SQLITE_OK
	}
	if strings.HasPrefix(table, "sqlite_") && op == sqlite3.SQLITE_READ {
		return sqlite3.SQLITE_OK
	}
	f.tell(f.module, table)
	return sqlite3.SQLITE_DENY
}
