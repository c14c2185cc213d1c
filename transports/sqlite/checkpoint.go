package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/oncelog"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// SQLite would copy the write-ahead log into the database inside the commit that makes the log too long, and delay that
// commit by milliseconds. Here a goroutine copies on a connection of its own while the writer continues. The writer
// copies only the rest, when the log has grown long.
//
// The log starts over, at the beginning of its file, when all of it is copied and no reader uses it.
const (
	copyEvery = 2000     // pages between checkpoints; copying ten times as often copied hot pages ten times, and cost 5 %
	longLog   = 4000     // pages after which the writer copies the rest, so that the log can start over
	logSize   = 8 << 20  // bytes of the log that are laid out in advance
	logLimit  = 32 << 20 // bytes to which the log's file is cut when the log starts over
	cutPace   = time.Second
)

// logFile is the file of the write-ahead log, for syncs, for the layout in advance, and for its length. SQLite locks
// the database and the -shm file, never the log: opening and closing the log here drops no lock.
type logFile struct {
	file     *os.File
	layOut   bool   // lay the file out; for the writer's goroutine
	frame    int64  // bytes of a frame: header and page
	next     int64  // the frame whose write asks for the next checkpoint; for the writer's goroutine
	salt     uint64 // of the current run of the log: changes when the log starts over; for the writer's goroutine
	limit    int64
	held     bool            // by a reader, as logged; for the watching goroutine
	heldAt   int64           // the logged size; for the watching goroutine
	loggedAt time.Time       // time of the log line; for the watching goroutine
	failed   oncelog.Problem // failed checkpoints; for the watching goroutine
}

// The headers of the log and of its frames (https://www.sqlite.org/fileformat.html, section 4.1).
const (
	logHead   = 32
	frameHead = 24
	logSalt   = 16 // offset of the salt in the header of the log
	frameSalt = 8  // offset of the salt in the header of a frame
)

// openLog opens the log, takes over the checkpoints, and makes the content of the log durable.
func (j *Journal) openLog(ctx context.Context, c *sql.Conn) error {
	var pageSize, pages, limit int64
	err := c.QueryRowContext(ctx, "SELECT page_size FROM pragma_page_size").Scan(&pageSize)
	if err == nil {
		err = c.QueryRowContext(ctx, "PRAGMA wal_autocheckpoint = 0").Scan(&pages)
	}
	l := &logFile{frame: frameHead + pageSize, next: copyEvery, limit: cmp.Or(j.cfg.logLimit, logLimit)}
	if err == nil {
		err = c.QueryRowContext(ctx, fmt.Sprintf("PRAGMA journal_size_limit = %d", l.limit)).Scan(&limit)
	}
	if err != nil {
		return err
	}
	flags, full := os.O_RDONLY, j.cfg.Synchronous == "full"
	if full {
		flags = os.O_RDWR
	}
	if l.file, err = os.OpenFile(j.path+"-wal", flags, 0); err != nil {
		return fmt.Errorf("open the write-ahead log: %w", err)
	}
	j.log = l
	if j.site, err = file.Locate(j.path); err != nil {
		return err
	}
	if !full {
		return nil
	}
	l.layOut = true
	if err := j.layOutAtOnce(ctx, c); err != nil {
		return err
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("sync the write-ahead log: %w", err)
	}
	return nil
}

// layOutAtOnce lays out the log. While another connection writes, the first group does so instead.
func (j *Journal) layOutAtOnce(ctx context.Context, c *sql.Conn) error {
	return withoutWaiting(ctx, c, j.cfg, func() error {
		if _, err := c.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
			return nil //nolint:nilerr // it is an optimization: what keeps it from writing will show where that counts
		}
		err := j.log.fill()
		_, ended := c.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return errors.Join(err, ended)
	})
}

// fill fills the log's file with zeros up to logSize. A sync after writing inside a file is much cheaper than after
// growing it. SQLite takes an invalid frame for the end of the log (https://www.sqlite.org/walformat.html, section
// 4.3). The caller must hold SQLite's write lock until fill returns: otherwise another connection may write frames
// under the zeros.
func (l *logFile) fill() error {
	l.layOut = false
	info, err := l.file.Stat()
	if err == nil && info.Size() < logSize {
		_, err = l.file.WriteAt(make([]byte, logSize-info.Size()), info.Size())
		if row.NoSpace(err) { // an optimization: a full disk is reported by the next write
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("lay out the write-ahead log: %w", err)
	}
	return nil
}

// withoutWaiting runs fn while the connection waits for no locks.
func withoutWaiting(ctx context.Context, c *sql.Conn, cfg Config, fn func() error) error {
	ctx = context.WithoutCancel(ctx)
	if _, err := c.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	err := fn()
	_, again := c.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", cfg.BusyTimeout.Milliseconds()))
	return errors.Join(err, again)
}

// beginGroup runs in the writer's goroutine at the start of every group, inside the transaction, with the write lock.
func (j *Journal) beginGroup() error {
	if j.log.layOut {
		if err := j.log.fill(); err != nil {
			return err
		}
	}
	return j.flushCursors()
}

// written asks for a checkpoint when the log has grown by copyEvery pages. It runs in the writer's goroutine, after
// every commit.
func (j *Journal) written() {
	if j.log.grown() {
		wake.Poke(j.checkpoint)
	}
}

// grown reports whether the log has grown to the next frame that asks for a checkpoint. An unreadable file has not
// grown: the next write reports the error.
func (l *logFile) grown() bool {
	salt, ok := l.saltAt(logSalt)
	if !ok {
		return false
	}
	if salt != l.salt {
		l.salt, l.next = salt, copyEvery
	}
	was := l.next
	for {
		salt, ok := l.saltAt(logHead + (l.next-1)*l.frame + frameSalt)
		if !ok || salt != l.salt {
			return l.next > was
		}
		l.next += copyEvery
	}
}

func (l *logFile) saltAt(offset int64) (uint64, bool) {
	var b [8]byte
	_, err := l.file.ReadAt(b[:], offset)
	return binary.BigEndian.Uint64(b[:]), err == nil
}

func (l *logFile) size() int64 {
	info, err := l.file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

func (l *logFile) close() error { return l.file.Close() }

// syncFile returns the log for the syncer, or nil without syncs.
func (j *Journal) syncFile() commit.File {
	if j.cfg.Synchronous != "full" {
		return nil
	}
	f := commit.File(sitedLog{j.log.file, j})
	if j.cfg.wrapLog != nil {
		f = j.cfg.wrapLog(f)
	}
	return f
}

// sitedLog is a log that must still be in place: a sync of a moved file makes nothing durable.
type sitedLog struct {
	*os.File
	j *Journal
}

// Sync forces the log to the disk. Nothing is durable unless it returns nil.
func (l sitedLog) Sync() error {
	if err := l.File.Sync(); err != nil {
		return err
	}
	return l.j.site.Check()
}

// Close leaves the log open: the journal closes it.
func (l sitedLog) Close() error { return nil }

// watchLog copies the log after writes, and cuts a log that is too long.
func (j *Journal) watchLog() {
	var again <-chan time.Time
	for {
		select {
		case <-j.ctx.Done():
			return
		case <-j.checkpoint:
		case <-again:
		}
		again = nil
		if j.writer.Broken() != nil {
			continue // the content of the files is unknown, or another journal's
		}
		held, err := j.copyLog()
		failed := err != nil && !errors.Is(err, journal.ErrClosed)
		j.logCopying(err, failed && j.ctx.Err() == nil)
		if long := j.logLong(held); long || failed { // a full disk may have space later
			again = time.After(cutPace)
		}
	}
}

// logCopying reports that checkpoints fail, and that the checkpoints work again.
func (j *Journal) logCopying(err error, failed bool) {
	switch now := time.Now(); {
	case err == nil:
		if times, _ := j.log.failed.Over(now); times > 0 {
			j.cfg.Logger.LogAttrs(j.ctx, slog.LevelInfo, "the write-ahead log is copied into the database again", slog.Int("failed", times))
		}
	case failed:
		if times := j.log.failed.Failed(now); times > 0 {
			j.cfg.Logger.LogAttrs(j.ctx, slog.LevelError, "copying the write-ahead log into the database failed, retrying: the log grows meanwhile",
				slog.Int("times", times), slog.Any("error", row.Explain(err)))
		}
	}
}

// copyLog copies the log into the database, first beside the writer. In the writer it copies the rest of a long log. It
// reports whether a reader keeps the log's file from being cut.
func (j *Journal) copyLog() (held bool, err error) {
	length, _, err := checkpoint(j.ctx, j.writeDB, "PASSIVE")
	if err != nil {
		return false, err
	}
	long := j.log.size() > j.log.limit
	if length < longLog && !long {
		return false, nil
	}
	err = j.writer.Submit(j.ctx, &commit.Item{Alone: func(c *sql.Conn) (err error) {
		if !long {
			_, _, err := checkpoint(context.Background(), c, "PASSIVE")
			return err
		}
		return withoutWaiting(context.Background(), c, j.cfg, func() (err error) {
			if _, held, err = checkpoint(context.Background(), c, "TRUNCATE"); err != nil {
				return err
			}
			j.log.layOut = j.cfg.Synchronous == "full"
			return j.markAgain(context.Background(), c, !held) // an empty log is complete
		})
	}})
	return held, err
}

// logLong reports whether the log's file exceeds its limit, and logs when a reader keeps the file long.
func (j *Journal) logLong(held bool) bool {
	l := j.log
	size := l.size()
	switch long := held && size > 2*l.limit; {
	case long && (size >= 2*l.heldAt || time.Since(l.loggedAt) >= oncelog.Again):
		l.held, l.heldAt, l.loggedAt = true, size, time.Now()
		j.cfg.Logger.LogAttrs(j.ctx, slog.LevelWarn, "a reader keeps the write-ahead log from starting over, and the log grows: end the reader",
			slog.String("log", j.path+"-wal"), slog.Int64("mib", size>>20), slog.String("readers", file.WhoReads(j.path)))
	case !long && l.held && size <= l.limit:
		l.held, l.heldAt = false, 0
		j.cfg.Logger.LogAttrs(j.ctx, slog.LevelInfo, "the write-ahead log was cut", slog.Int64("mib", size>>20))
	}
	return size > l.limit
}

// checkpoint copies as much of the log as possible. It returns the length of the log in pages, and whether other
// connections blocked part of the mode's work. A passive checkpoint never waits.
func checkpoint(ctx context.Context, q row.RowQueryer, mode string) (length int, busy bool, err error) {
	var copied int
	err = q.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &length, &copied)
	return length, busy, err
}
