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
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// SQLite would copy the write-ahead log into the database inside the commit that makes it too long: a pause of
// milliseconds for whoever is in that commit. Here a goroutine copies on a connection of its own, while the writer goes
// on; only what was written meanwhile is left to the writer, and only when the log has grown long.
//
// The log starts over, at the beginning of its file, when all of it is copied and nobody reads from it.
const (
	copyEvery = 2000     // pages of the log between two checkpoints: ten times as often copied hot pages ten times as often, and cost 5 %
	longLog   = 4000     // pages of the log, from which on the writer itself finishes, so that the log can start over
	logSize   = 8 << 20  // bytes of the log that are laid out in advance
	logLimit  = 32 << 20 // bytes to which the log's file is cut when the log starts over
	cutPace   = time.Second
)

// logFile is the file of the write-ahead log, beside SQLite's own use of it: to force it to the disk, to lay it out,
// and to see how far it is written. SQLite locks the database and its -shm file, never the log, so opening and
// closing it here drops no lock.
type logFile struct {
	file   *os.File
	layOut bool   // it is to be laid out; the writer's goroutine's
	frame  int64  // bytes of a frame: a page behind its header
	next   int64  // the frame whose writing asks for the next checkpoint; the writer's goroutine's
	salt   uint64 // of the log's present run: it changes when the log starts over; likewise
	limit  int64
	held   bool            // by a reader, as the log has been told; the watching goroutine's
	heldAt int64           // how long it was then; likewise
	told   time.Time       // when; likewise
	failed oncelog.Problem // of checkpoints; likewise
}

// The head of the log and of its frames (https://www.sqlite.org/fileformat.html, section 4.1).
const (
	logHead   = 32
	frameHead = 24
	logSalt   = 16 // where the salt is in the one
	frameSalt = 8  // and in the other
)

// openLog opens the log, takes over its checkpoints, and makes what is in it durable.
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

// layOutAtOnce lays out the log unless another connection is writing: then it is left to the first group.
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

// fill lays the log out: it fills the file with zeros up to logSize. A sync after writing into a file is much cheaper
// than one after making it longer, and SQLite takes what is not a valid frame for the end of the log
// (https://www.sqlite.org/walformat.html, section 4.3). The caller has SQLite's write lock, and keeps it until fill
// returns: otherwise another connection may write frames where the zeros go.
func (l *logFile) fill() error {
	l.layOut = false
	info, err := l.file.Stat()
	if err == nil && info.Size() < logSize {
		_, err = l.file.WriteAt(make([]byte, logSize-info.Size()), info.Size())
		if row.NoSpace(err) { // it is an optimization: a full disk is reported by what needs it
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("lay out the write-ahead log: %w", err)
	}
	return nil
}

// withoutWaiting runs fn on a connection that does not wait for locks meanwhile.
func withoutWaiting(ctx context.Context, c *sql.Conn, cfg Config, fn func() error) error {
	ctx = context.WithoutCancel(ctx)
	if _, err := c.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	err := fn()
	_, again := c.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", cfg.BusyTimeout.Milliseconds()))
	return errors.Join(err, again)
}

// beginGroup runs in the writer's goroutine at the start of every group, inside its transaction, which has the write
// lock.
func (j *Journal) beginGroup(k *kept) error {
	if j.log.layOut {
		if err := j.log.fill(); err != nil {
			return err
		}
	}
	return j.flushCursors(k)
}

// written asks for a checkpoint when the log has grown by copyEvery pages since the last one. It runs in the writer's
// goroutine, after every commit.
func (j *Journal) written() {
	if j.log.grown() {
		wake.Poke(j.checkpoint)
	}
}

// grown reports whether the next frame that matters has been written in this run of the log. A file that cannot be
// read is not longer: what writes to it will say so.
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

// syncFile is the log as the syncer needs it: nil where nothing is forced.
func (j *Journal) syncFile() syncFile {
	if j.cfg.Synchronous != "full" {
		return nil
	}
	f := syncFile(sitedLog{j.log.file, j})
	if j.cfg.wrapLog != nil {
		f = j.cfg.wrapLog(f)
	}
	return f
}

// sitedLog is a log that must be at its site: what is synced elsewhere, nobody will find.
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

// watchLog copies the log when it was written to, and cuts it when it is longer than it should be.
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
		if j.sync.health() != nil {
			continue // what is in the files is unknown, or not this journal's
		}
		held, err := j.copyLog()
		failed := err != nil && !errors.Is(err, journal.ErrClosed)
		j.logCopying(err, failed && j.ctx.Err() == nil)
		if long := j.tellLong(held); long || failed { // on a full disk there is room again at some time
			again = time.After(cutPace)
		}
	}
}

// logCopying reports that checkpoints fail, and that the checkpoints work again.
func (j *Journal) logCopying(err error, failed bool) {
	switch now := time.Now(); {
	case err == nil:
		if times, _ := j.log.failed.Over(now); times > 0 {
			j.cfg.Logger.LogAttrs(j.ctx, slog.LevelInfo, "the log is copied into the database again", slog.Int("failed", times))
		}
	case failed:
		if times := j.log.failed.Failed(now); times > 0 {
			j.cfg.Logger.LogAttrs(j.ctx, slog.LevelError, "cannot copy the log into the database, it grows until that works",
				slog.Int("times", times), slog.Any("error", row.Explain(err)))
		}
	}
}

// copyLog copies the log into the database, first beside the writer; what is left of a long log, in its place. It
// reports whether somebody keeps the log's file from being cut.
func (j *Journal) copyLog() (held bool, err error) {
	length, _, err := checkpoint(j.ctx, j.writeDB, "PASSIVE")
	if err != nil {
		return false, err
	}
	long := j.log.size() > j.log.limit
	if length < longLog && !long {
		return false, nil
	}
	err = j.writer.submit(j.ctx, &item{alone: func(c *sql.Conn) (err error) {
		if !long {
			_, _, err := checkpoint(context.Background(), c, "PASSIVE")
			return err
		}
		return withoutWaiting(context.Background(), c, j.cfg, func() (err error) {
			if _, held, err = checkpoint(context.Background(), c, "TRUNCATE"); err != nil {
				return err
			}
			j.log.layOut = j.cfg.Synchronous == "full"
			return j.markAgain(context.Background(), c, !held) // a log that is empty says that nothing is missing
		})
	}})
	return held, err
}

// tellLong reports whether the log's file is longer than its limit, and tells the operator when a reader keeps it so.
func (j *Journal) tellLong(held bool) bool {
	l := j.log
	size := l.size()
	switch long := held && size > 2*l.limit; {
	case long && (size >= 2*l.heldAt || time.Since(l.told) >= oncelog.Again):
		l.held, l.heldAt, l.told = true, size, time.Now()
		j.cfg.Logger.LogAttrs(j.ctx, slog.LevelWarn, "the write-ahead log cannot start over while a reader holds it, and grows: end the reader",
			slog.String("log", j.path+"-wal"), slog.Int64("mib", size>>20), slog.String("readers", file.WhoReads(j.path)))
	case !long && l.held && size <= l.limit:
		l.held, l.heldAt = false, 0
		j.cfg.Logger.LogAttrs(j.ctx, slog.LevelInfo, "the write-ahead log was cut", slog.Int64("mib", size>>20))
	}
	return size > l.limit
}

// checkpoint copies what it can. It returns the length of the log in pages, and whether others kept it from doing all
// that mode asks for. A passive one waits for nobody.
func checkpoint(ctx context.Context, q row.RowQueryer, mode string) (length int, busy bool, err error) {
	var copied int
	err = q.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &length, &copied)
	return length, busy, err
}
