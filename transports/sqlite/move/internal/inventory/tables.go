package inventory

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
)

// Tables are the journal's own tables. Any other table belongs to the module whose name begins the table's name.
var Tables = []string{"events", "subscriptions", "deliveries", "pending", "dead_letters", "acts", "delayed", "cancelled", "schedules", "identity", "records", "moves", "migrations",
	"observer", "early_records", "open_acts", "blocks", "keys", "counted", "causes", "places", "sent", "program", "requests", "type_starts"}

// Object is a table, index, trigger or view.
type Object struct{ Kind, Name, Table, SQL string }

func (o Object) sum() dbfile.Sum {
	return dbfile.SumOfRow(o.Kind, o.Name, o.Table, o.SQL)
}

// Objects returns the objects that are not on the journal's own tables: tables first, in the order of their creation.
func Objects(ctx context.Context, f *dbfile.File, schema string) ([]Object, error) {
	all, err := allObjects(ctx, f, schema)
	return slices.DeleteFunc(all, func(o Object) bool { return isOwn(o.Table) }), err
}

// allObjects returns the same as Objects, and the objects on the journal's own tables.
func allObjects(ctx context.Context, f *dbfile.File, schema string) (all []Object, err error) {
	err = f.Each(ctx, dbfile.Stmt(`
SELECT type, name, tbl_name, sql FROM `+schema+`.sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
ORDER BY type <> 'table', rowid`), func(rows *sql.Rows) error {
		var o Object
		err := rows.Scan(&o.Kind, &o.Name, &o.Table, &o.SQL)
		all = append(all, o)
		return err
	})
	return all, err
}

// Modules returns the names of the modules with tables, subscriptions, delayed events, schedules or idempotency keys
// in f.
func Modules(ctx context.Context, f *dbfile.File) ([]string, error) {
	return f.Texts(ctx, `
SELECT module FROM main.migrations WHERE module NOT IN ('journal', 'bus')
UNION SELECT `+moduleOf+` FROM main.subscriptions s WHERE s.kind = 'bus' AND s.name LIKE '_%/%' AND `+moduleOf+` <> 'bus'
UNION SELECT source FROM main.delayed WHERE source NOT IN ('', 'bus')
UNION SELECT `+moduleOf+` FROM main.schedules s
UNION SELECT module FROM main.requests WHERE module <> ''
UNION SELECT source FROM main.cancelled WHERE source NOT IN ('', 'bus') ORDER BY 1`)
}

// Owner returns the module that owns table, or "". Of modules a and a_b, the latter owns a_b_c.
func Owner(table string, modules []string) (owner string) {
	for _, m := range modules {
		if strings.HasPrefix(strings.ToLower(table), m+"_") && len(m) > len(owner) {
			owner = m
		}
	}
	return owner
}

// OfModules returns the objects that belong to modules; known are all modules of the journal.
func OfModules(objects []Object, modules, known []string) (of []Object) {
	for _, o := range objects {
		if slices.Contains(modules, Owner(o.Table, slices.Concat(known, modules))) {
			of = append(of, o)
		}
	}
	return of
}

// shape returns the columns by which the rows of a table are read and written: no hidden and no generated columns, but
// the rowid when no column shows it.
func (o Object) shape(ctx context.Context, f *dbfile.File, schema string) (columns []string, err error) {
	names := map[string]bool{}
	key, integer := 0, false
	err = f.Each(ctx, dbfile.Stmt("SELECT name, upper(type), pk, hidden FROM pragma_table_xinfo(?, ?)", o.Name, schema), func(rows *sql.Rows) error {
		var name, kind string
		var pk, hidden int
		if err := rows.Scan(&name, &kind, &pk, &hidden); err != nil {
			return err
		}
		names[strings.ToLower(name)] = true
		if hidden == 0 {
			columns = append(columns, Quote(name))
		}
		if pk > 0 {
			key++
			integer = kind == "INTEGER"
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	withoutRowid, err := f.Int64(ctx, "SELECT wr FROM pragma_table_list(?) WHERE schema = ?", o.Name, schema)
	if err != nil || withoutRowid == 1 {
		return columns, err
	}
	indexed, err := f.Int64(ctx, "SELECT count(*) FROM pragma_index_list(?, ?) WHERE origin = 'pk'", o.Name, schema)
	if err != nil || key == 1 && integer && indexed == 0 { // this column is the rowid
		return columns, err
	}
	for _, name := range []string{"rowid", "_rowid_", "oid"} {
		if !names[name] {
			return append([]string{name}, columns...), nil
		}
	}
	return columns, nil
}

func (o Object) digestQuery(ctx context.Context, f *dbfile.File) (string, error) {
	columns, err := o.shape(ctx, f, "main")
	return fmt.Sprintf("SELECT count(*), digest(%s) FROM main.%s", strings.Join(columns, ", "), Quote(o.Name)), err
}

// CopyObjects creates objects in f, with their rows from the attached database from.
func CopyObjects(ctx context.Context, f *dbfile.File, from string, objects []Object) error {
	for _, o := range objects {
		if o.Kind != "table" {
			continue
		}
		columns, err := o.shape(ctx, f, from)
		if err != nil {
			return err
		}
		all := strings.Join(columns, ", ")
		err = f.Run(ctx,
			dbfile.Stmt(o.SQL),
			dbfile.Stmt(fmt.Sprintf("INSERT INTO main.%s (%s) SELECT %s FROM %s.%s", Quote(o.Name), all, all, from, Quote(o.Name))),
			dbfile.Stmt("DELETE FROM main.sqlite_sequence WHERE name = ?", o.Name),
			dbfile.Stmt(fmt.Sprintf("INSERT INTO main.sqlite_sequence (name, seq) SELECT name, seq FROM %s.sqlite_sequence WHERE name = ?", from), o.Name),
		)
		if err != nil {
			return err
		}
	}
	for _, o := range objects { // triggers come last: they have run for these rows already
		if o.Kind != "table" {
			if err := f.Run(ctx, dbfile.Stmt(o.SQL)); err != nil {
				return err
			}
		}
	}
	return nil
}

// DropObjects drops the tables and views of objects. SQLite drops the indexes and triggers of a table with the table.
func DropObjects(ctx context.Context, f *dbfile.File, objects []Object) error {
	for _, kind := range []string{"view", "table"} {
		for _, o := range objects {
			if o.Kind != kind {
				continue
			}
			if err := f.Run(ctx, dbfile.Stmt(fmt.Sprintf("DROP %s main.%s", kind, Quote(o.Name)))); err != nil {
				return err
			}
		}
	}
	return nil
}
