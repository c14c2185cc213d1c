package move

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// own are the journal's own tables. Any other belongs to the module whose name it begins with.
var own = []string{"events", "subscriptions", "deliveries", "pending", "dead_letters", "acts", "delayed", "identity", "records", "moves", "migrations",
	"observer", "early_records", "open_acts", "blocks", "keys", "counted", "causes", "places", "sent", "program"}

// object is a table, index, trigger or view that is not the journal's.
type object struct{ kind, name, table, sql string }

func (o object) sum() Sum {
	return sumOfRow(o.kind, o.name, o.table, o.sql)
}

// readObjects returns what is not on the journal's own tables, tables first, in the order in which it was made.
func readObjects(ctx context.Context, f *file, schema string) ([]object, error) {
	all, err := allObjects(ctx, f, schema)
	return slices.DeleteFunc(all, func(o object) bool { return isOwn(o.table) }), err
}

// allObjects returns what readObjects does, and what there is on the journal's own tables, too.
func allObjects(ctx context.Context, f *file, schema string) (all []object, err error) {
	err = f.each(ctx, stmt(`
SELECT type, name, tbl_name, sql FROM `+schema+`.sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
ORDER BY type <> 'table', rowid`), func(rows *sql.Rows) error {
		var o object
		err := rows.Scan(&o.kind, &o.name, &o.table, &o.sql)
		all = append(all, o)
		return err
	})
	return all, err
}

// knownModules are those that f has something of: tables, subscriptions, or events to come.
func knownModules(ctx context.Context, f *file) ([]string, error) {
	return f.texts(ctx, `
SELECT module FROM main.migrations WHERE module NOT IN ('journal', 'bus')
UNION SELECT `+moduleOf+` FROM main.subscriptions s WHERE s.kind = 'bus' AND s.name LIKE '_%/%' AND `+moduleOf+` <> 'bus'
UNION SELECT source FROM main.delayed WHERE source NOT IN ('', 'bus') ORDER BY 1`)
}

// ownerOf is the module that a table belongs to; "" where it is nobody's. Of modules a and a_b, the latter owns a_b_c.
func ownerOf(table string, modules []string) (owner string) {
	for _, m := range modules {
		if strings.HasPrefix(strings.ToLower(table), m+"_") && len(m) > len(owner) {
			owner = m
		}
	}
	return owner
}

// ofModules are the objects of modules, given all that there are.
func ofModules(objects []object, modules, known []string) (of []object) {
	for _, o := range objects {
		if slices.Contains(modules, ownerOf(o.table, slices.Concat(known, modules))) {
			of = append(of, o)
		}
	}
	return of
}

// shape is how the rows of a table are read and written: hidden and generated columns are left out, and the number of a row
// that no column shows is a column.
func (o object) shape(ctx context.Context, f *file, schema string) (columns []string, err error) {
	names := map[string]bool{}
	key, integer := 0, false
	err = f.each(ctx, stmt("SELECT name, upper(type), pk, hidden FROM pragma_table_xinfo(?, ?)", o.name, schema), func(rows *sql.Rows) error {
		var name, kind string
		var pk, hidden int
		if err := rows.Scan(&name, &kind, &pk, &hidden); err != nil {
			return err
		}
		names[strings.ToLower(name)] = true
		if hidden == 0 {
			columns = append(columns, quote(name))
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
	withoutRowid, err := f.int64(ctx, "SELECT wr FROM pragma_table_list(?) WHERE schema = ?", o.name, schema)
	if err != nil || withoutRowid == 1 {
		return columns, err
	}
	indexed, err := f.int64(ctx, "SELECT count(*) FROM pragma_index_list(?, ?) WHERE origin = 'pk'", o.name, schema)
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

func (o object) digestQuery(ctx context.Context, f *file) (string, error) {
	columns, err := o.shape(ctx, f, "main")
	return fmt.Sprintf("SELECT count(*), digest(%s) FROM main.%s", strings.Join(columns, ", "), quote(o.name)), err
}

// copyObjects makes objects in f, with the rows that they have in the attached database from.
func copyObjects(ctx context.Context, f *file, from string, objects []object) error {
	for _, o := range objects {
		if o.kind != "table" {
			continue
		}
		columns, err := o.shape(ctx, f, from)
		if err != nil {
			return err
		}
		all := strings.Join(columns, ", ")
		err = f.run(ctx,
			stmt(o.sql),
			stmt(fmt.Sprintf("INSERT INTO main.%s (%s) SELECT %s FROM %s.%s", quote(o.name), all, all, from, quote(o.name))),
			stmt("DELETE FROM main.sqlite_sequence WHERE name = ?", o.name),
			stmt(fmt.Sprintf("INSERT INTO main.sqlite_sequence (name, seq) SELECT name, seq FROM %s.sqlite_sequence WHERE name = ?", from), o.name),
		)
		if err != nil {
			return err
		}
	}
	for _, o := range objects { // the rows have had their triggers where they came from
		if o.kind != "table" {
			if err := f.run(ctx, stmt(o.sql)); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropObjects removes objects: with a table go its indexes and triggers.
func dropObjects(ctx context.Context, f *file, objects []object) error {
	for _, kind := range []string{"view", "table"} {
		for _, o := range objects {
			if o.kind != kind {
				continue
			}
			if err := f.run(ctx, stmt(fmt.Sprintf("DROP %s main.%s", kind, quote(o.name)))); err != nil {
				return err
			}
		}
	}
	return nil
}
