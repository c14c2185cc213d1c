package workconn

import (
	"database/sql"
	"fmt"
	"strings"

	"github.com/mattn/go-sqlite3"
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/schema"
)

// fence is SQLite's authorizer for the write connection. It keeps work from ending the journal's transaction and from
// changing the connection. With Config.Fence it also keeps modules out of each other's tables. Only the goroutine with
// the connection may use the fence.
type fence struct {
	inside   bool   // work is running; the journal itself may do anything
	migrates bool   // the work is a migration
	own      bool   // a migration of the journal's own tables
	module   string // of the work
	report   func(module, table string)
	refused  error // the last refusal, until refusal returns it
}

func newFence(c *sqlite3.SQLiteConn, report func(module, table string)) *fence {
	f := &fence{report: report}
	c.RegisterAuthorizer(f.allow)
	return f
}

func (f *fence) enter(module string) { f.inside, f.module = true, module }

func (f *fence) leave() { f.inside, f.refused = false, nil }

// migration runs the text of a migration as work, in the open transaction. own says that the migration is one of the
// journal's own tables. f is nil without a writer.
func (f *fence) migration(own bool, run func() error) error {
	if f == nil {
		return run()
	}
	f.inside, f.migrates, f.own, f.module = true, true, own, ""
	err := run()
	if refused := f.refusal(); err != nil && refused != nil {
		err = fmt.Errorf("%w: %w", refused, err)
	}
	f.inside, f.migrates, f.own = false, false, false
	return err
}

// GuardOf returns the guard for migrations on c, a connection of Open.
func GuardOf(c *sql.Conn) (guard func(own bool, run func() error) error, err error) {
	err = c.Raw(func(f any) error {
		guard = f.(*Face).fence.migration
		return nil
	})
	return guard, err
}

// refusal returns the refusal of the statement that just failed, or nil.
func (f *fence) refusal() error {
	err := f.refused
	f.refused = nil
	return err
}

// testSavepoint is the savepoint with which bustest runs work twice.
const testSavepoint = "bustest"

// allow answers SQLite (https://www.sqlite.org/c3ref/set_authorizer.html). For operations on tables, first is the
// table.
func (f *fence) allow(op int, first, second, _ string) int {
	if !f.inside {
		return sqlite3.SQLITE_OK
	}
	switch op {
	case sqlite3.SQLITE_TRANSACTION:
		f.refused = fmt.Errorf("%w: the work said %s", errByHand, first)
	case sqlite3.SQLITE_SAVEPOINT:
		if f.report != nil && second == testSavepoint {
			return sqlite3.SQLITE_OK
		}
		f.refused = fmt.Errorf("%w: the work said %s of a savepoint", errByHand, first)
	case sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH:
		f.refused = fmt.Errorf("sqlite: work may neither attach nor detach a database: open a connection to %s", first)
	case sqlite3.SQLITE_PRAGMA:
		if file.ChangesConnection(first, second) && !(f.migrates && pragmasOfMigrations[strings.ToLower(first)]) {
			f.refused = fmt.Errorf("sqlite: work may not run PRAGMA %s: all work shares the connection", first)
		}
	default:
		if f.refused = f.refuseTemporary(op, first); f.refused == nil && (f.module != "" || f.migrates && !f.own) {
			f.refused = refuseJournals(op, first, second)
		}
	}
	if f.refused != nil {
		return sqlite3.SQLITE_DENY
	}
	return f.allowTable(op, first)
}

// temporary are the operations that create an object for the lifetime of the connection.
var temporary = map[int]string{
	sqlite3.SQLITE_CREATE_TEMP_TABLE: "table", sqlite3.SQLITE_CREATE_TEMP_VIEW: "view",
	sqlite3.SQLITE_CREATE_TEMP_TRIGGER: "trigger", sqlite3.SQLITE_CREATE_TEMP_INDEX: "index",
}

// refuseTemporary keeps work from leaving temporary objects on the write connection: a temporary trigger would run with
// other work, and a temporary table would hide another table. A migration may create temporary objects, and must drop
// them.
func (f *fence) refuseTemporary(op int, name string) error {
	kind := temporary[op]
	if op == sqlite3.SQLITE_INSERT && name == "sqlite_temp_master" { // any other kind of object
		kind = "object"
	}
	switch {
	case kind == "":
		return nil
	case !f.migrates:
		return fmt.Errorf("sqlite: work may not make a temporary %s: it would last for all other work on the connection; "+
			"use a subquery, json_each or a table of the module", kind)
	case schema.Tables[strings.ToLower(name)]:
		return fmt.Errorf("sqlite: a migration may not make a temporary %s: the journal would take it for its own; choose another name", name)
	}
	return nil
}

// refuseJournals keeps work and migrations from changing the journal's tables: a table name without the module's prefix
// may be the journal's. Inserts into events are allowed, for watermill-sql. sqlite_sequence also has rows of modules'
// tables.
func refuseJournals(op int, first, second string) error {
	table := ""
	switch op {
	case sqlite3.SQLITE_INSERT:
		if !strings.EqualFold(first, "events") {
			table = first
		}
	case sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE, sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_DROP_TABLE,
		sqlite3.SQLITE_CREATE_VIEW:
		table = first
	case sqlite3.SQLITE_ALTER_TABLE, sqlite3.SQLITE_CREATE_TRIGGER, sqlite3.SQLITE_DROP_TRIGGER,
		sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_DROP_INDEX:
		table = second
	}
	if table == "sqlite_sequence" || !schema.Tables[strings.ToLower(table)] {
		return nil
	}
	return fmt.Errorf("sqlite: the table %s is the journal's, which modules may only read: "+
		"the names of a module's tables begin with the module's name and an underscore", table)
}

// allowTable keeps modules out of each other's tables.
func (f *fence) allowTable(op int, table string) int {
	if f.report == nil || f.module == "" || strings.HasPrefix(table, f.module+"_") {
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
	f.report(f.module, table)
	return sqlite3.SQLITE_DENY
}

// pragmasOfMigrations end with the transaction, or do nothing in a transaction, and are common in migrations.
var pragmasOfMigrations = map[string]bool{"defer_foreign_keys": true, "foreign_keys": true}
