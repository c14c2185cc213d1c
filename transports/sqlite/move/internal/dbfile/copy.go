package dbfile

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/mattn/go-sqlite3"
)

// pagesAtOnce is how many pages are copied between two looks at whether somebody wants it to end.
const pagesAtOnce = 4096

// pages makes the database at to a copy of that at from, in one transaction: it is all there or as it was before. The
// function locked is called when nobody else can write to it any more.
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
