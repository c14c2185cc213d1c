package move

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/inventory"
)

// backUp copies the journal page by page, and checks that the inventory of the copy is want.
func (o Options) backUp(ctx context.Context, p *Proof, want inventory.Inventory) (err error) {
	o.Progress("copying the journal as it is")
	p.Backup = o.backup(p.ID)
	part := p.part(p.Backup)
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("copy %s: %w", o.Journal, err), dbfile.Remove(part))
		}
	}()
	if err := dbfile.CreatePrivate(part); err != nil {
		return err
	}
	if err := dbfile.CopyPages(ctx, o.Journal, part, func() error { return nil }); err != nil {
		return err
	}
	if err := cmp.Or(o.at("copied"), dbfile.CopyMode(o.Journal, part)); err != nil {
		return err
	}
	copied, err := inventory.Of(ctx, part, p.Modules)
	if err != nil {
		return err
	}
	if diff := inventory.Changed(want, copied); len(diff) > 0 {
		return fmt.Errorf("the copy differs in %s", strings.Join(diff, ", "))
	}
	return dbfile.Settle(part, p.Backup)
}

// restore overwrites the journal that decided the move p.ID with the journal's copy. From then on, the other journal
// asks the journal about the move.
func restore(ctx context.Context, p *Proof) error {
	if err := dbfile.SetPrepared(ctx, p.Other, p.ID); err != nil {
		return err
	}
	return dbfile.CopyPages(ctx, p.Backup, p.Journal, func() error { return nil })
}
