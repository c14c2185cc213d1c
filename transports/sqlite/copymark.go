package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"

	"github.com/mattn/go-sqlite3"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/wal"
)

// checkWhole refuses a file whose log is missing.
func (j *Journal) checkWhole(ctx context.Context, c *sql.Conn) error {
	number, known := j.fileNumber()
	if !known || j.hadLog {
		return nil
	}
	return file.CheckMark(ctx, c, number)
}

// markInUse marks the file, and writes the mark into the database file before the first acknowledgement. It does not
// wait: while another connection writes, the mark is left to the first migration.
func (j *Journal) markInUse(ctx context.Context, c *sql.Conn) error {
	if j.cfg.Synchronous == "off" {
		return nil
	}
	err := wal.WithoutWaiting(ctx, c, j.cfg.BusyTimeout, func() error { return j.markAgain(ctx, c, false) })
	if e, ok := errors.AsType[sqlite3.Error](err); ok && e.Code == sqlite3.ErrBusy {
		return nil
	}
	if err != nil {
		return err
	}
	_, _, err = wal.Checkpoint(ctx, c, "PASSIVE")
	return err
}

// markAgain marks the file when the schema has changed, or anyway. It runs on the write connection, outside of a
// transaction.
func (j *Journal) markAgain(ctx context.Context, c *sql.Conn, anyway bool) error {
	number, known := j.fileNumber()
	if !known {
		return nil
	}
	return file.SetMark(ctx, c, number, anyway)
}

func (j *Journal) fileNumber() (uint64, bool) {
	if j.cfg.Synchronous == "off" { // a test opens hundreds of journals, and never copies one
		return 0, false
	}
	info, err := os.Stat(j.path)
	if err != nil {
		return 0, false
	}
	return file.FileNumber(info)
}

// unmark clears the mark before the journal is closed.
func (j *Journal) unmark() error {
	if _, known := j.fileNumber(); !known {
		return nil
	}
	ctx := context.Background()
	return j.writer.Submit(ctx, &commit.Item{Alone: func(c *sql.Conn) error { return file.ClearMark(ctx, c) }})
}
