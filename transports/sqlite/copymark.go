package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"os"

	"github.com/mattn/go-sqlite3"
)

// While a journal is in use, its newest events are in the log beside the database file, and a copy of that file alone
// lacks them. Such a copy looks sound. So the owner marks the file, with a number in its header that SQLite keeps for
// programs (https://www.sqlite.org/pragma.html#pragma_user_version), and takes the mark away when it closes the
// journal.
//
// The mark says which file it was made in, and at which version of the schema. A file that was not closed, because
// its program was killed, is the one that it was made in. A backup by SQLite's own means is whole, and has another
// version of the schema.
const markHalf = 16 // bits

// mark is the number that marks the file with this number on its file system, at this version of the schema. It is
// not 0.
func mark(file uint64, schema int64) int64 {
	h := fnv.New32a()
	_, _ = fmt.Fprint(h, file) // a hash takes everything
	return int64(h.Sum32()>>(markHalf+2)+1)<<markHalf | schema&(1<<markHalf-1)
}

// errPart: the file was copied while it was in use, and its log was not.
var errPart = errors.New("it is a copy of a journal that was in use, without the log that was beside it (-wal), so the newest events are missing: " +
	"stop the program and copy both files, or copy with `sqlite3 FILE '.backup COPY'`; to use this copy as it is: `sqlite3 COPY 'PRAGMA user_version = 0'`")

// hasLog reports whether there is a log beside the database file at path.
func hasLog(path string) bool {
	info, err := os.Stat(path + "-wal")
	return err == nil && info.Size() > 0
}

// checkWhole refuses a file that lacks its log.
func (j *Journal) checkWhole(ctx context.Context, c *sql.Conn) error {
	file, known := j.fileNumber()
	if !known || j.hadLog {
		return nil
	}
	is, schema, err := marked(ctx, c)
	own := mark(file, schema)
	if err == nil && is != 0 && is != own && is&(1<<markHalf-1) == own&(1<<markHalf-1) {
		err = errPart
	}
	return err
}

// markInUse marks the file, and has the mark in the database file before anything is acknowledged. It waits for
// nobody: while another connection is writing, the mark is left to the first migration.
func (j *Journal) markInUse(ctx context.Context, c *sql.Conn) error {
	if j.cfg.Synchronous == "off" {
		return nil
	}
	err := withoutWaiting(ctx, c, j.cfg, func() error { return j.markAgain(ctx, c, false) })
	if e, ok := errors.AsType[sqlite3.Error](err); ok && e.Code == sqlite3.ErrBusy {
		return nil
	}
	if err != nil {
		return err
	}
	_, _, err = checkpoint(ctx, c, "PASSIVE")
	return err
}

// markAgain marks the file when its schema has changed, or anyway. It runs on the write connection, outside of a
// transaction.
func (j *Journal) markAgain(ctx context.Context, c *sql.Conn, anyway bool) error {
	file, known := j.fileNumber()
	if !known {
		return nil
	}
	is, schema, err := marked(ctx, c)
	if want := mark(file, schema); err == nil && (is != want || anyway) {
		err = setMark(ctx, c, want)
	}
	return err
}

func (j *Journal) fileNumber() (uint64, bool) {
	if j.cfg.Synchronous == "off" { // a test opens hundreds of journals, and copies none by hand
		return 0, false
	}
	info, err := os.Stat(j.path)
	if err != nil {
		return 0, false
	}
	return fileNumber(info)
}

// unmark takes the mark away from a journal that is about to be closed.
func (j *Journal) unmark() error {
	if _, known := j.fileNumber(); !known {
		return nil
	}
	ctx := context.Background()
	return j.writer.submit(ctx, &item{alone: func(c *sql.Conn) error { return setMark(ctx, c, 0) }})
}

func marked(ctx context.Context, c *sql.Conn) (is, schema int64, err error) {
	err = c.QueryRowContext(ctx, "SELECT user_version, schema_version FROM pragma_user_version, pragma_schema_version").Scan(&is, &schema)
	return is, schema, err
}

func setMark(ctx context.Context, c *sql.Conn, to int64) error {
	_, err := c.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", to))
	return err
}
