package dbfile

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/mattn/go-sqlite3"
)

// pagesAtOnce is the number of pages that are copied between two checks of the context.
const pagesAtOnce = 4096

// CopyPages overwrites the database at to with the database at from, in a single transaction: after an error, to is as
// before. CopyPages calls locked once no other connection can write to the database at to.
func CopyPages(ctx context.Context, from, to string, locked func() error) (err error) {
	src, err := Open(ctx, from, Reading)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	how := Durable
	if info, err := os.Stat(to); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		how = Volatile
	}
	dst, err := Open(ctx, to, how)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	return dst.Raw(func(d any) error {
		return src.Raw(func(s any) error {
			b, err := d.(*sqlite3.SQLiteConn).Backup("main", s.(*sqlite3.SQLiteConn), "main")
			if err != nil {
				return err
			}
			return errors.Join(copySteps(ctx, b, locked), b.Finish())
		})
	})
}

func copySteps(ctx context.Context, b *sqlite3.SQLiteBackup, locked func() error) error {
	done, err := b.Step(1)
	switch {
	case err != nil:
		return err
	case b.PageCount() == 0: // the driver returns no error in this case
		return errors.New("another process writes to the database: try again")
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
			return errors.New("another process uses the database: try again")
		}
	}
	return nil
}
