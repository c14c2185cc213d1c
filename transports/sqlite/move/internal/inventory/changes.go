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

// Of returns the inventory of the journal at path, read from the disk.
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

// Audit runs the checks of the journals at paths.
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
			return fmt.Errorf("move: the check of %s found %d mistakes, such as: %s", path, len(wrong), wrong[0])
		}
	}
	return nil
}

// unsteady are the names of sums that change when a program only runs. "events" includes all events of Emitted, which
// older programs did not count.
var unsteady = []string{ToSend, RecordsToSend, Emitted, "subscriptions"}

// Changed returns the names of the sums that differ in two inventories, without the names in unsteady.
func Changed(before, after Inventory) (names []string) {
	for _, pair := range [][2]Part{{before.Moving, after.Moving}, {before.Staying, after.Staying}} {
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
