package inventory

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
)

// Trespass is something in the schema of a journal that ties tables of two modules together, so that they cannot go into two
// files; or that cannot be moved at all.
type Trespass struct {
	Where string `json:"where"` // the table, trigger or view
	What  string `json:"what"`
}

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
	apart := func(a, b string) bool {
		return slices.Contains(modules, owner(a)) != slices.Contains(modules, owner(b))
	}
	var found []Trespass
	objects := slices.DeleteFunc(slices.Clone(all), func(o Object) bool { return isOwn(o.Table) })
	for _, o := range objects {
		mine := slices.Contains(modules, owner(o.Table))
		if mine && o.Kind == "table" && Virtual.MatchString(o.SQL) {
			found = append(found, Trespass{o.Name, VirtualReason})
		}
		if o.Kind == "table" {
			parents, err := f.Texts(ctx, `SELECT DISTINCT "table" FROM pragma_foreign_key_list(?)`, o.Name)
			if err != nil {
				return nil, err
			}
			for _, p := range parents {
				if apart(o.Name, p) || mine && isOwn(p) {
					found = append(found, Trespass{o.Name, "has a foreign key to " + p + ": keep the id, drop the reference"})
				}
			}
			continue
		}
		for _, other := range objects {
			if other.Kind != "index" && other.Kind != "trigger" && apart(o.Table, other.Name) && mentions(o.SQL, other.Name) {
				found = append(found, Trespass{o.Name, fmt.Sprintf("is a %s that touches %s: react to an event instead", o.Kind, other.Name)})
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

// isJournals reports whether a trigger or an index on one of the journal's own tables is its own, or a guard.
func isJournals(o Object) bool {
	return strings.HasPrefix(o.Name, guardName) || slices.ContainsFunc([]string{"events_", "delayed_", "acts_", "records_", "observer_"},
		func(begins string) bool { return strings.HasPrefix(o.Name, begins) })
}

const VirtualReason = "is a virtual table, which cannot be copied: drop it, and make it again after the move"

var Virtual = regexp.MustCompile(`(?i)^\s*CREATE\s+VIRTUAL\b`)
