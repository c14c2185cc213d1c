package inventory

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
)

// own are the journal's own tables. Any other belongs to the module whose name it begins with.
var Tables = []string{"events", "subscriptions", "deliveries", "pending", "dead_letters", "acts", "delayed", "identity", "records", "moves", "migrations",
	"observer", "early_records", "open_acts", "blocks", "keys", "counted", "causes", "places", "sent", "program"}

// object is a table, index, trigger or view that is not the journal's.
type Object struct{ Kind, Name, Table, SQL string }

func (o Object) sum() dbfile.Sum {
	return dbfile.SumOfRow(o.Kind, o.Name, o.Table, o.SQL)
}

// readObjects returns what is not on the journal's own tables, tables first, in the order in which it was made.
func Objects(ctx context.Context, f *dbfile.File, schema string) ([]Object, error) {
	all, err := allObjects(ctx, f, schema)
	return slices.DeleteFunc(all, func(o Object) bool { return isOwn(o.Table) }), err
}

// allObjects returns what readObjects does, and what there is on the journal's own tables, too.
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

// knownModules are those that f has something of: tables, subscriptions, or events to come.
func Modules(ctx context.Context, f *dbfile.File) ([]string, error) {
	return f.Texts(ctx, `
SELECT module FROM main.migrations WHERE module NOT IN ('journal', 'bus')
UNION SELECT `+moduleOf+` FROM main.subscriptions s WHERE s.kind = 'bus' AND s.name LIKE '_%/%' AND `+moduleOf+` <> 'bus'
UNION SELECT source FROM main.delayed WHERE source NOT IN ('', 'bus') ORDER BY 1`)
}

// ownerOf is the module that a table belongs to; "" where it is nobody's. Of modules a and a_b, the latter owns a_b_c.
func Owner(table string, modules []string) (owner string) {
	for _, m := range modules {
		if strings.HasPrefix(strings.ToLower(table), m+"_") && len(m) > len(owner) {
			owner = m
		}
	}
	return owner
}

// ofModules are the objects of modules, given all that there are.
func OfModules(objects []Object, modules, known []string) (of []Object) {
	for _, o := range objects {
		if slices.Contains(modules, Owner(o.Table, slices.Concat(known, modules))) {
			of = append(of, o)
		}
	}
	return of
}

// shape is how the rows of a table are read and written: hidden and generated columns are left out, and the number of a row
// that no column shows is a column.
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
	if err != nil || key == 1 && integer && indexed == 0 { // that column is the row's number
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

// copyObjects makes objects in f, with the rows that they have in the attached database from.
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
	for _, o := range objects { // the rows have had their triggers where they came from
		if o.Kind != "table" {
			if err := f.Run(ctx, dbfile.Stmt(o.SQL)); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropObjects removes objects: with a table go its indexes and triggers.
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
