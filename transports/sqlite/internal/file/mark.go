package file

import (
	"context"
	"database/sql"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"

	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/schema"
)

// While a journal is in use, the newest events are in the log beside the database file. A copy of the database file
// alone lacks them, and looks sound. So the owner marks the file, with a number in the header that SQLite keeps for
// programs (https://www.sqlite.org/pragma.html#pragma_user_version), and clears the mark when the journal is closed.
//
// The mark contains the number of the file and the version of the schema. A killed program leaves the mark in the
// marked file, and the numbers agree. A backup by SQLite's own means is complete, and has another version of the
// schema: the version of the file under the backup, plus 1. A new file counts from 1, so the owner draws a high version
// with each new mark.
const (
	markHalf = 16      // bits
	drawn    = 1 << 20 // versions of the schema from here on were drawn
)

// mark returns the number that marks a file with this number on its file system, at this version of the schema. The
// number is not 0.
func mark(file uint64, version int64) int64 {
	h := fnv.New32a()
	_, _ = fmt.Fprint(h, file) // writing to a hash cannot fail
	return int64(h.Sum32()>>(markHalf+2)+1)<<markHalf | version&(1<<markHalf-1)
}

// HasLog reports whether there is a log beside the database file at path.
func HasLog(path string) bool {
	info, err := os.Stat(path + "-wal")
	return err == nil && info.Size() > 0
}

func marked(ctx context.Context, c row.RowQueryer) (is, version int64, err error) {
	const query = "SELECT user_version, schema_version FROM pragma_user_version, pragma_schema_version"
	err = c.QueryRowContext(ctx, query).Scan(&is, &version)
	return is, version, err
}

// CheckMark returns an ErrPart for a file that was copied in use, without the log. number is the number of the file on
// its file system.
func CheckMark(ctx context.Context, c row.RowQueryer, number uint64) error {
	is, version, err := marked(ctx, c)
	own := mark(number, version)
	if err == nil && is != 0 && is != own && is&(1<<markHalf-1) == own&(1<<markHalf-1) {
		err = schema.ErrPart
	}
	return err
}

// CheckWhole returns an ErrPart for the file at path, open as c, if it was copied in use, without the log.
func CheckWhole(ctx context.Context, c row.RowQueryer, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	number, known := FileNumber(info)
	if !known || HasLog(path) {
		return nil
	}
	return CheckMark(ctx, c, number)
}

// SetMark marks the file with this number when the mark differs, or anyway. c is not in a transaction.
func SetMark(ctx context.Context, c *sql.Conn, number uint64, anyway bool) error {
	is, version, err := marked(ctx, c)
	switch want := mark(number, version); {
	case err != nil:
		return err
	case is != want || version < drawn:
		return setMarkAndVersion(ctx, c, number)
	case anyway:
		return writeMark(ctx, c, want)
	}
	return nil
}

// setMarkAndVersion draws a version of the schema, and marks the file. Other connections prepare their statements
// again.
func setMarkAndVersion(ctx context.Context, c *sql.Conn, number uint64) error {
	tx, err := row.Begin(ctx, c)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()                          // a no-op after Commit
	version := rand.Int64N(1<<31-drawn) + drawn | 1<<(markHalf-1) // backups do not count that far
	query := fmt.Sprintf("PRAGMA schema_version = %d; PRAGMA user_version = %d", version, mark(number, version))
	if _, err := tx.ExecContext(ctx, query); err != nil {
		return err
	}
	return tx.Commit()
}

// ClearMark clears the mark.
func ClearMark(ctx context.Context, c *sql.Conn) error { return writeMark(ctx, c, 0) }

func writeMark(ctx context.Context, c *sql.Conn, to int64) error {
	_, err := c.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", to))
	return err
}
