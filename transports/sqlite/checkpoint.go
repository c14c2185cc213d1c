package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"github.com/troupebus/troupe/bus/journal"
)

// SQLite would copy the write-ahead log into the database inside the commit that makes it too long: a pause of
// milliseconds for whoever is in that commit. Here a goroutine copies on a connection of its own, while the writer goes
// on; only what was written meanwhile is left to the writer, and only when the log has grown long.
const (
	checkpointEvery = 3000    // pieces of work between two checkpoints: every 300 copied hot pages ten times as often, and cost 5 %
	longLog         = 4000    // pages of the log, from which on the writer itself finishes, so that the log can start over
	logSize         = 8 << 20 // bytes of the log that are laid out in advance
)

// takeOverCheckpoints turns SQLite's own checkpoints off.
func takeOverCheckpoints(ctx context.Context, c *sql.Conn) error {
	var pages int
	return c.QueryRowContext(ctx, "PRAGMA wal_autocheckpoint = 0").Scan(&pages)
}

// openLog opens the write-ahead log for syncing, makes what is in it durable, and fills it with zeros up to logSize. A
// sync after writing into a file is much cheaper than one after making it longer, and SQLite takes what is not a valid
// frame for the end of the log (https://www.sqlite.org/walformat.html, section 4.3). SQLite locks the database and its
// -shm file, never the log, so opening and closing it here drops no lock.
func openLog(path string) (_ *os.File, err error) {
	f, err := os.OpenFile(path+"-wal", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open the write-ahead log: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() < logSize {
		_, err = f.WriteAt(make([]byte, logSize-info.Size()), info.Size())
		if errors.Is(err, syscall.ENOSPC) { // it is an optimization: a full disk is reported by what needs it
			err = nil
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lay out the write-ahead log: %w", err), f.Close())
	}
	return f, nil
}

// written counts what was committed, in the writer's goroutine.
func (j *Journal) written(items int) {
	j.uncopied += items
	if j.uncopied >= checkpointEvery {
		j.uncopied = 0
		poke(j.checkpoint)
	}
}

// watchLog copies the log when it was written to.
func (j *Journal) watchLog() {
	for {
		select {
		case <-j.ctx.Done():
			return
		case <-j.checkpoint:
		}
		length, err := checkpoint(j.ctx, j.writeDB)
		if err == nil && length >= longLog {
			err = j.writer.submit(j.ctx, &item{alone: func(c *sql.Conn) error {
				_, err := checkpoint(context.Background(), c)
				return err
			}})
		}
		if err != nil && j.ctx.Err() == nil && !errors.Is(err, journal.ErrClosed) {
			j.cfg.Logger.LogAttrs(j.ctx, slog.LevelError, "cannot copy the log into the database, it grows until that works", slog.Any("error", explain(err)))
		}
	}
}

// checkpoint copies what it can without waiting for anybody, and returns the length of the log in pages.
func checkpoint(ctx context.Context, q rowQueryer) (length int, err error) {
	var busy, copied int
	err = q.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &length, &copied)
	return length, err
}
