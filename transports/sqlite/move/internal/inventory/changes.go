package inventory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
)

// Of is what the journal at path has, as it is on disk.
func Of(ctx context.Context, path string, modules []string) (inv Inventory, err error) {
	f, err := dbfile.Open(ctx, path, dbfile.Reading)
	if err != nil {
		return inv, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Run(ctx, dbfile.Stmt("BEGIN")); err != nil { // one snapshot
		return inv, err
	}
	return Take(ctx, f, modules)
}

// Audit holds journals against their own rules.
func Audit(ctx context.Context, paths ...string) error {
	for _, path := range paths {
		r, err := sqlite.OpenReader(ctx, path)
		if err != nil {
			return err
		}
		wrong, err := r.Check(ctx)
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
		if len(wrong) > 0 {
			return fmt.Errorf("move: the books of %s are wrong: %d mistakes, such as: %s", path, len(wrong), wrong[0])
		}
	}
	return nil
}

// unsteady are the parts that change when a program only runs. "events" has all that inEmitted counts, which older programs did not note.
var unsteady = []string{ToSend, RecordsToSend, Emitted, "subscriptions"}

// Changed names what is not the same in two inventories, but for what changes when a program only runs.
func Changed(was, is Inventory) (names []string) {
	for _, pair := range [][2]Part{{was.Moving, is.Moving}, {was.Staying, is.Staying}} {
		all := maps.Clone(pair[0])
		maps.Copy(all, pair[1])
		for name := range all {
			if pair[0][name] != pair[1][name] && !slices.Contains(unsteady, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
