package inventory

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
)

// Trespass is a trigger, view, index or foreign key that ties the tables of two modules together, so that the tables
// cannot be in two files; or a table that cannot be copied.
type Trespass struct {
	Where string `json:"where"` // the table, trigger or view
	What  string `json:"what"`
}

// Trespasses returns the ties between the tables of modules and all other tables in f.
func Trespasses(ctx context.Context, f *dbfile.File, modules []string) ([]Trespass, error) {
	all, err := allObjects(ctx, f, "main")
	if err != nil {
		return nil, err
	}
	known, err := Modules(ctx, f)
	if err != nil {
		return nil, err
	}
	owner := func(table string) string { return Owner(table, slices.Concat(known, modules)) }
	separated := func(a, b string) bool {
		return slices.Contains(modules, owner(a)) != slices.Contains(modules, owner(b))
	}
	var found []Trespass
	objects := slices.DeleteFunc(slices.Clone(all), func(o Object) bool { return isOwn(o.Table) })
	for _, o := range objects {
		mine := slices.Contains(modules, owner(o.Table))
		if mine && o.Kind == "table" && virtual.MatchString(o.SQL) {
			found = append(found, Trespass{o.Name, virtualReason})
		}
		if o.Kind == "table" {
			parents, err := f.Texts(ctx, `SELECT DISTINCT "table" FROM pragma_foreign_key_list(?)`, o.Name)
			if err != nil {
				return nil, err
			}
			for _, p := range parents {
				if separated(o.Name, p) || mine && isOwn(p) {
					found = append(found, Trespass{o.Name, "has a foreign key to " + p + ": keep the id, drop the reference"})
				}
			}
			continue
		}
		for _, other := range objects {
			if other.Kind != "index" && other.Kind != "trigger" && separated(o.Table, other.Name) && mentions(o.SQL, other.Name) {
				found = append(found, Trespass{o.Name, fmt.Sprintf("is a %s that touches %s: react to an event instead", o.Kind, other.Name)})
			}
		}
	}
	return append(found, onJournal(all, ties{modules, owner})...), nil
}

// ties finds the ties between modules and the journal's own tables.
type ties struct {
	modules []string
	owner   func(name string) string
}

// onJournal finds triggers and indexes of modules on the journal's own tables, and triggers there that use tables of
// the modules: after the tables have moved, such a trigger would make every write to the journal fail.
func onJournal(objects []Object, t ties) (found []Trespass) {
	moving := func(name string) bool { return slices.Contains(t.modules, t.owner(name)) }
	for _, o := range objects {
		if !isOwn(o.Table) || isJournals(o) {
			continue
		}
		instead := map[string]string{"trigger": "subscribe to events instead", "index": "keep a table of your own instead"}[o.Kind]
		if moving(o.Name) {
			found = append(found, Trespass{o.Name, fmt.Sprintf("is a %s on the journal's table %s: %s", o.Kind, o.Table, instead)})
			continue
		}
		for _, other := range objects {
			if (other.Kind == "table" || other.Kind == "view") && moving(other.Name) && mentions(o.SQL, other.Name) {
				found = append(found, Trespass{o.Name, fmt.Sprintf("is a %s on the journal's table %s that touches %s: %s", o.Kind, o.Table, other.Name, instead)})
			}
		}
	}
	return found
}

// isJournals reports whether a trigger or index on one of the journal's tables is the journal's own, or a guard.
func isJournals(o Object) bool {
	return strings.HasPrefix(o.Name, guardName) || slices.ContainsFunc([]string{"events_", "delayed_", "acts_", "records_", "observer_"},
		func(begins string) bool { return strings.HasPrefix(o.Name, begins) })
}

// virtualReason is the problem of a virtual table.
const virtualReason = "is a virtual table, which cannot be copied: drop it, and make it again after the move"

// virtual matches the SQL of a virtual table.
var virtual = regexp.MustCompile(`(?i)^\s*CREATE\s+VIRTUAL\b`)

// Stuck describes a table or subscription of the journal b that no merge can move, or returns "". modules are all
// modules of b.
func Stuck(ctx context.Context, b *dbfile.File, modules []string) (string, error) {
	objects, err := Objects(ctx, b, "main")
	if err != nil {
		return "", err
	}
	names, err := b.Texts(ctx, "SELECT name FROM main.subscriptions WHERE kind = 'group' AND name <> 'relay'")
	if err != nil {
		return "", err
	}
	for _, o := range objects {
		if virtual.MatchString(o.SQL) {
			return fmt.Sprintf("%s in %s %s", o.Name, b.Path, virtualReason), nil
		}
		if Owner(o.Table, modules) == "" {
			names = append(names, o.Name)
		}
	}
	if len(names) == 0 {
		return "", nil
	}
	return fmt.Sprintf("%s in %s belongs to no module and would not move: remove it first", strings.Join(names, ", "), b.Path), nil
}
