package move

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/mattn/go-sqlite3"

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

// pagesAtOnce is how many pages are copied between two looks at whether somebody wants it to end.
const pagesAtOnce = 4096

// pages makes the database at to a copy of that at from, in one transaction: it is all there or as it was before. The
// function locked is called when nobody else can write to it any more.
func pages(ctx context.Context, from, to string, locked func() error) (err error) {
	src, err := open(ctx, from, reading)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.close()) }()
	how := careful
	if info, err := os.Stat(to); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		how = careless
	}
	dst, err := open(ctx, to, how)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.close()) }()
	return dst.Raw(func(d any) error {
		return src.Raw(func(s any) error {
			b, err := d.(*sqlite3.SQLiteConn).Backup("main", s.(*sqlite3.SQLiteConn), "main")
			if err != nil {
				return err
			}
			return errors.Join(copyPages(ctx, b, locked), b.Finish())
		})
	})
}

func copyPages(ctx context.Context, b *sqlite3.SQLiteBackup, locked func() error) error {
	done, err := b.Step(1)
	switch {
	case err != nil:
		return err
	case b.PageCount() == 0: // the driver does not say so
		return errors.New("another process writes to it: try again")
	}
	if err := locked(); err != nil {
		return err
	}
	for !done {
		if err := ctx.Err(); err != nil {
			return err
		}
		left := b.Remaining()
		if done, err = b.Step(pagesAtOnce); err != nil {
			return err
		}
		if !done && b.Remaining() == left {
			return errors.New("another process uses it: try again")
		}
	}
	return nil
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
