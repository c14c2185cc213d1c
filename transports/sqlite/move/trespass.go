package move

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Trespass is something in the schema of a journal that ties tables of two modules together, so that they cannot go into two
// files; or that cannot be moved at all.
type Trespass struct {
	Where string `json:"where"` // the table, trigger or view
	What  string `json:"what"`
}

// Trespasses returns what stands in the way of parting modules from the others in the journal at path. What handlers do in
// Go is not seen.
func Trespasses(ctx context.Context, path string, modules []string) ([]Trespass, error) {
	f, err := open(ctx, path, reading)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.close() }() // it was only read
	return trespasses(ctx, f, modules)
}

func trespasses(ctx context.Context, f *file, modules []string) ([]Trespass, error) {
	objects, err := readObjects(ctx, f, "main")
	if err != nil {
		return nil, err
	}
	known, err := knownModules(ctx, f)
	if err != nil {
		return nil, err
	}
	owner := func(table string) string { return ownerOf(table, slices.Concat(known, modules)) }
	apart := func(a, b string) bool {
		return slices.Contains(modules, owner(a)) != slices.Contains(modules, owner(b))
	}
	var found []Trespass
	for _, o := range objects {
		mine := slices.Contains(modules, owner(o.table))
		if mine && o.kind == "table" && virtual.MatchString(o.sql) {
			found = append(found, Trespass{o.name, "is a virtual table, which cannot be copied: drop it, and make it again after the move"})
		}
		if o.kind == "table" {
			parents, err := f.texts(ctx, `SELECT DISTINCT "table" FROM pragma_foreign_key_list(?)`, o.name)
			if err != nil {
				return nil, err
			}
			for _, p := range parents {
				if apart(o.name, p) || mine && slices.Contains(own, p) {
					found = append(found, Trespass{o.name, "has a foreign key to " + p + ": keep the id, drop the reference"})
				}
			}
			continue
		}
		for _, other := range objects {
			if other.kind != "index" && other.kind != "trigger" && apart(o.table, other.name) && mentions(o.sql, other.name) {
				found = append(found, Trespass{o.name, fmt.Sprintf("is a %s that touches %s: react to an event instead", o.kind, other.name)})
			}
		}
	}
	onJournal, err := onJournal(ctx, f, modules)
	return append(found, onJournal...), err
}

// onJournal finds triggers of modules on the journal's own tables.
func onJournal(ctx context.Context, f *file, modules []string) (found []Trespass, err error) {
	err = f.each(ctx, step{query: `SELECT name, tbl_name, sql FROM main.sqlite_schema WHERE type IN ('trigger', 'view')`}, func(rows *sql.Rows) error {
		var name, table, text string
		if err := rows.Scan(&name, &table, &text); err != nil {
			return err
		}
		if slices.Contains(own, table) && slices.Contains(modules, ownerOf(name, modules)) {
			found = append(found, Trespass{name, "is a trigger on the journal's table " + table + ": subscribe to events instead"})
		}
		return nil
	})
	return found, err
}

var virtual = regexp.MustCompile(`(?i)^\s*CREATE\s+VIRTUAL\b`)

// mentions reports whether a statement has name in it as a word. It may be one in a comment or a string: then a person looks.
func mentions(statement, name string) bool {
	dash := strings.Contains(name, "-")
	word := func(r rune) bool {
		return r == '_' || r == '-' && dash || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 127
	}
	statement, name = strings.ToLower(statement), strings.ToLower(name)
	return slices.Contains(strings.FieldsFunc(statement, func(r rune) bool { return !word(r) }), name)
}
