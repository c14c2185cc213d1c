package move

import (
	"context"
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

func trespasses(ctx context.Context, f *file, modules []string) ([]Trespass, error) {
	all, err := allObjects(ctx, f, "main")
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
	objects := slices.DeleteFunc(slices.Clone(all), func(o object) bool { return isOwn(o.table) })
	for _, o := range objects {
		mine := slices.Contains(modules, owner(o.table))
		if mine && o.kind == "table" && virtual.MatchString(o.sql) {
			found = append(found, Trespass{o.name, virtualWhy})
		}
		if o.kind == "table" {
			parents, err := f.texts(ctx, `SELECT DISTINCT "table" FROM pragma_foreign_key_list(?)`, o.name)
			if err != nil {
				return nil, err
			}
			for _, p := range parents {
				if apart(o.name, p) || mine && isOwn(p) {
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
	return append(found, onJournal(all, ties{modules, owner})...), nil
}

// ties finds what ties modules to the journal's own tables.
type ties struct {
	modules []string
	owner   func(name string) string
}

// onJournal finds triggers and indexes of modules on the journal's own tables, and triggers there that touch the modules' tables: without
// these, nothing could be written to the journal any more.
func onJournal(objects []object, t ties) (found []Trespass) {
	moving := func(name string) bool { return slices.Contains(t.modules, t.owner(name)) }
	for _, o := range objects {
		if !isOwn(o.table) || isJournals(o) {
			continue
		}
		instead := map[string]string{"trigger": "subscribe to events instead", "index": "keep a table of your own instead"}[o.kind]
		if moving(o.name) {
			found = append(found, Trespass{o.name, fmt.Sprintf("is a %s on the journal's table %s: %s", o.kind, o.table, instead)})
			continue
		}
		for _, other := range objects {
			if (other.kind == "table" || other.kind == "view") && moving(other.name) && mentions(o.sql, other.name) {
				found = append(found, Trespass{o.name, fmt.Sprintf("is a %s on the journal's table %s that touches %s: %s", o.kind, o.table, other.name, instead)})
			}
		}
	}
	return found
}

// isJournals reports whether a trigger or an index on one of the journal's own tables is its own, or a guard.
func isJournals(o object) bool {
	return strings.HasPrefix(o.name, guardName) || slices.ContainsFunc([]string{"events_", "delayed_", "acts_", "records_", "observer_"},
		func(begins string) bool { return strings.HasPrefix(o.name, begins) })
}

const virtualWhy = "is a virtual table, which cannot be copied: drop it, and make it again after the move"

var virtual = regexp.MustCompile(`(?i)^\s*CREATE\s+VIRTUAL\b`)
