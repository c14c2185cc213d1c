package wal

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
	copyEvery = 2000 // pages between checkpoints; copying ten times as often copied hot pages ten times, and cost 5 %
	longLog   = 4000 // pages after which the writer copies the rest, so that the log can start over
	cutPace   = time.Second

	// LaidOut is the number of bytes of the log that are laid out in advance.
	LaidOut = 8 << 20

	// DefaultLimit is the number of bytes to which the log's file is cut when the log starts over.
	DefaultLimit = 32 << 20
)

// Config configures a Log.
type Config struct {
	Path        string // of the database
	Durable     bool   // commits are made durable: lay the file out in advance
	BusyTimeout time.Duration
	Limit       int64 // defaults to DefaultLimit
	Logger      *slog.Logger
}

// Log is the file of the write-ahead log, for syncs, for the layout in advance, and for its length. SQLite locks
// the database and the -shm file, never the log: opening and closing the log here drops no lock.
type Log struct {
	cfg      Config
	site     *file.Site
	due      chan struct{} // capacity 1: a checkpoint is due
	file     *os.File
	layOut   bool   // lay the file out; for the writer's goroutine
	frame    int64  // bytes of a frame: header and page
	next     int64  // the frame whose write asks for the next checkpoint; for the writer's goroutine
	salt     uint64 // of the current run of the log: changes when the log starts over; for the writer's goroutine
	limit    int64
	held     bool      // by a reader, as logged; for the watching goroutine
	heldAt   int64     // the logged size; for the watching goroutine
	loggedAt time.Time // time of the log line; for the watching goroutine
}

// The headers of the log and of its frames (https://www.sqlite.org/fileformat.html, section 4.1).
const (
	logHead   = 32
	frameHead = 24
	logSalt   = 16 // offset of the salt in the header of the log
	frameSalt = 8  // offset of the salt in the header of a frame
)

// Open opens the log, takes over the checkpoints, and makes the content of the log durable. The caller must close the
// log, also after an error, unless Open returns nil.
func Open(ctx context.Context, c *sql.Conn, cfg Config) (*Log, error) {
	var pageSize, pages, limit int64
	err := c.QueryRowContext(ctx, "SELECT page_size FROM pragma_page_size").Scan(&pageSize)
	if err == nil {
		err = c.QueryRowContext(ctx, "PRAGMA wal_autocheckpoint = 0").Scan(&pages)
	}
	l := &Log{cfg: cfg, due: make(chan struct{}, 1), frame: frameHead + pageSize, next: copyEvery,
		limit: cmp.Or(cfg.Limit, DefaultLimit)}
	if err == nil {
		err = c.QueryRowContext(ctx, fmt.Sprintf("PRAGMA journal_size_limit = %d", l.limit)).Scan(&limit)
	}
	if err != nil {
		return nil, err
	}
	flags := os.O_RDONLY
	if cfg.Durable {
		flags = os.O_RDWR
	}
	if l.file, err = os.OpenFile(cfg.Path+"-wal", flags, 0); err != nil {
		return nil, fmt.Errorf("open the write-ahead log: %w", err)
	}
	if l.site, err = file.Locate(cfg.Path); err != nil {
		return l, err
	}
	if !cfg.Durable {
		return l, nil
	}
	l.layOut = true
	if err := l.layOutAtOnce(ctx, c); err != nil {
		return l, err
	}
	if err := l.file.Sync(); err != nil {
		return l, fmt.Errorf("sync the write-ahead log: %w", err)
	}
	return l, nil
}

// layOutAtOnce lays out the log. While another connection writes, the first group does so instead.
func (l *Log) layOutAtOnce(ctx context.Context, c *sql.Conn) error {
	return WithoutWaiting(ctx, c, l.cfg.BusyTimeout, func() error {
		if _, err := c.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
			return nil //nolint:nilerr // it is an optimization: what keeps it from writing will show where that counts
		}
		err := l.fill()
		_, ended := c.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return errors.Join(err, ended)
	})
}

// fill fills the log's file with zeros up to LaidOut. A sync after writing inside a file is much cheaper than after
// growing it. SQLite takes an invalid frame for the end of the log (https://www.sqlite.org/walformat.html, section
// 4.3). The caller must hold SQLite's write lock until fill returns: otherwise another connection may write frames
// under the zeros.
func (l *Log) fill() error {
	l.layOut = false
	info, err := l.file.Stat()
	if err == nil && info.Size() < LaidOut {
		_, err = l.file.WriteAt(make([]byte, LaidOut-info.Size()), info.Size())
		if row.NoSpace(err) { // an optimization: a full disk is reported by the next write
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("lay out the write-ahead log: %w", err)
	}
	return nil
}

// WithoutWaiting runs fn while the connection waits for no locks, and sets its BusyTimeout to timeout again.
func WithoutWaiting(ctx context.Context, c *sql.Conn, timeout time.Duration, fn func() error) error {
	ctx = context.WithoutCancel(ctx)
	if _, err := c.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	err := fn()
	_, again := c.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", timeout.Milliseconds()))
	return errors.Join(err, again)
}

// Begin lays the log out if that is due. It runs in the writer's goroutine at the start of every group, inside the
// transaction, with the write lock.
func (l *Log) Begin() error {
	if !l.layOut {
		return nil
	}
	return l.fill()
}

// Written asks for a checkpoint when the log has grown by copyEvery pages. It runs in the writer's goroutine, after
// every commit.
func (l *Log) Written() {
	if l.grown() {
		wake.Poke(l.due)
	}
}

// grown reports whether the log has grown to the next frame that asks for a checkpoint. An unreadable file has not
// grown: the next write reports the error.
func (l *Log) grown() bool {
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

func (l *Log) saltAt(offset int64) (uint64, bool) {
	var b [8]byte
	_, err := l.file.ReadAt(b[:], offset)
	return binary.BigEndian.Uint64(b[:]), err == nil
}

// Size returns the length of the log's file in bytes, or 0 when the file cannot be read.
func (l *Log) Size() int64 {
	info, err := l.file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// Close closes the log.
func (l *Log) Close() error { return l.file.Close() }

// Check returns an error when the journal's files were moved, removed or replaced.
func (l *Log) Check() error { return l.site.Check() }

// File returns the log for the writer's syncs.
func (l *Log) File() commit.File { return sitedLog{l.file, l.site} }

// sitedLog is a log that must still be in place: a sync of a moved file makes nothing durable.
type sitedLog struct {
	*os.File
	site *file.Site
}

// Sync forces the log to the disk. Nothing is durable unless it returns nil.
func (l sitedLog) Sync() error {
	if err := l.File.Sync(); err != nil {
		return err
	}
	return l.site.Check()
}

// Close leaves the log open: the journal closes it.
func (l sitedLog) Close() error { return nil }

// Watch copies the log after writes, until ctx ends, and cuts a log that is too long. db is a pool on the database, and
// cut runs on the writer's connection after a cut was tried; whole says that the log is empty.
func (l *Log) Watch(ctx context.Context, w *commit.Writer, db *sql.DB, cut func(c *sql.Conn, whole bool) error) {
	if l.Size() > l.limit { // after a kill: there may be no writes for long
		wake.Poke(l.due)
	}
	var again <-chan time.Time
	tries := oncelog.NewTries(l.cfg.Logger, "copying the write-ahead log into the database", "meanwhile", "the log grows")
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.due:
		case <-again:
		}
		again = nil
		if w.Broken() != nil {
			continue // the content of the files is unknown, or another journal's
		}
		held, err := l.copy(ctx, w, db, cut)
		if ctx.Err() != nil || errors.Is(err, journal.ErrClosed) {
			return
		}
		tries.Note(row.Explain(err))
		if long := l.logLong(ctx, held); long || err != nil { // a full disk may have space later
			again = time.After(cutPace)
		}
	}
}

// copy copies the log into the database, first beside the writer. In the writer it copies the rest of a long log. It
// reports whether a reader keeps the log's file from being cut.
func (l *Log) copy(ctx context.Context, w *commit.Writer, db *sql.DB,
	cut func(c *sql.Conn, whole bool) error) (held bool, err error) {
	length, _, err := Checkpoint(ctx, db, "PASSIVE")
	if err != nil {
		return false, err
	}
	long := l.Size() > l.limit
	if length < longLog && !long {
		return false, nil
	}
	err = w.Submit(ctx, &commit.Item{Alone: func(c *sql.Conn) (err error) {
		if !long {
			_, _, err := Checkpoint(context.Background(), c, "PASSIVE")
			return err
		}
		return WithoutWaiting(context.Background(), c, l.cfg.BusyTimeout, func() (err error) {
			if _, held, err = Checkpoint(context.Background(), c, "TRUNCATE"); err != nil {
				return err
			}
			l.layOut = l.cfg.Durable
			return cut(c, !held)
		})
	}})
	return held, err
}

// logLong reports whether the log's file exceeds its limit, and logs when a reader keeps the file long.
func (l *Log) logLong(ctx context.Context, held bool) bool {
	size := l.Size()
	switch long := held && size > 2*l.limit; {
	case long && (size >= 2*l.heldAt || time.Since(l.loggedAt) >= oncelog.Again):
		l.held, l.heldAt, l.loggedAt = true, size, time.Now()
		l.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "a reader keeps the write-ahead log from starting over, and the log grows: end the reader",
			slog.String("log", l.cfg.Path+"-wal"), slog.Int64("mib", size>>20), slog.String("readers", file.WhoReads(l.cfg.Path)))
	case !long && l.held && size <= l.limit:
		l.held, l.heldAt = false, 0
		l.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "the write-ahead log was cut", slog.Int64("mib", size>>20))
	}
	return size > l.limit
}

// Checkpoint copies as much of the log as possible. It returns the length of the log in pages, and whether other
// connections blocked part of the mode's work. A passive checkpoint never waits.
func Checkpoint(ctx context.Context, q row.RowQueryer, mode string) (length int, busy bool, err error) {
	var copied int
	err = q.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &length, &copied)
	return length, busy, err
}
