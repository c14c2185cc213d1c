package move

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/troupebus/troupe/transports/sqlite"
)

// inventoryOf is what the journal at path has, as it is on disk.
func inventoryOf(ctx context.Context, path string, modules []string) (inv inventory, err error) {
	f, err := open(ctx, path, reading)
	if err != nil {
		return inv, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	if err := f.run(ctx, stmt("BEGIN")); err != nil { // one snapshot
		return inv, err
	}
	return takeInventory(ctx, f, modules)
}

// audit holds journals against their own rules.
func audit(ctx context.Context, paths ...string) error {
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

// backUp copies the journal that has want, page by page, and makes sure that the copy has all of it.
func (o Options) backUp(ctx context.Context, p *Proof, want inventory) (err error) {
	o.Progress("copying the journal as it is")
	p.Backup = o.backup(p.ID)
	part := p.part(p.Backup)
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("move: copy %s: %w", o.Journal, err), remove(part))
		}
	}()
	if err := private(part); err != nil {
		return err
	}
	if err := pages(ctx, o.Journal, part, func() error { return nil }); err != nil {
		return err
	}
	if err := cmp.Or(o.at("copied"), likeness(o.Journal, part)); err != nil {
		return err
	}
	is, err := inventoryOf(ctx, part, p.Modules)
	if err != nil {
		return err
	}
	if diff := changed(want, is); len(diff) > 0 {
		return fmt.Errorf("the copy differs in %s", strings.Join(diff, ", "))
	}
	return settle(part, p.Backup)
}

// restore makes the journal that decided the move id what its copy is; the other one asks it from then on.
func restore(ctx context.Context, p *Proof) error {
	if err := waver(ctx, p.Other, p.ID); err != nil {
		return err
	}
	return pages(ctx, p.Backup, p.Journal, func() error { return nil })
}

// waver has the journal at path ask what has become of a move that it had been told of.
func waver(ctx context.Context, path, id string) error {
	f, err := open(ctx, path, careful)
	if err != nil {
		return err
	}
	err = f.run(ctx, stmt("UPDATE main.moves SET state = 'prepared' WHERE id = ?", id))
	return errors.Join(err, f.close())
}
