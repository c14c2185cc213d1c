package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/halves"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/schema"
	"github.com/troupebus/troupe/transports/sqlite/internal/workconn"
)

// Open does not change a journal with older tables or of another program, and does not start the writer: the program
// may not fit the journal. If the program fits, Fits brings the tables up to date, and adopts the journal. Without a
// call of Fits, the first work does.

// firstIdentity is the migration that gave journals an identity. Older journals are brought up to date at once.
const firstIdentity = "schema/0002_wire.sql"

// setUp checks the file and sets up the connection. It reports whether the writer starts later.
func (j *Journal) setUp(ctx context.Context, conn *sql.Conn) (late bool, err error) {
	if err := j.checkWhole(ctx, conn); err != nil {
		return false, err
	}
	adopts, err := j.cfg.refuse(ctx, conn, j.lock.Making)
	if err != nil {
		return false, err
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA journal_mode = WAL"); err != nil { // a write, if the mode was another
		return false, err
	}
	if j.applied, err = schema.Claim(ctx, conn); err != nil {
		return false, err
	}
	if late, err = j.startsLate(adopts); err != nil {
		return false, err
	}
	if !late {
		if err := j.migrate(ctx, conn, schema.Journal, schema.Files); err != nil {
			return false, err
		}
		if err := halves.Settle(ctx, conn, j.path); err != nil {
			return false, err
		}
	}
	if err := checkPragmas(ctx, conn, j.cfg); err != nil {
		return false, err
	}
	if err := errors.Join(j.markInUse(ctx, conn), j.made()); err != nil {
		return false, err
	}
	if j.cfg.MaxPages > 0 {
		_, err = conn.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", j.cfg.MaxPages))
	}
	return late, err
}

// startsLate reports whether the journal must be adopted, or brought up to date, after Open.
func (j *Journal) startsLate(adopts bool) (bool, error) {
	todo, err := j.applied.Todo(schema.Journal, schema.Files)
	return (adopts || len(todo) > 0) && j.applied[schema.Journal][firstIdentity] != "", err
}

// begin brings an outdated journal up to date, unless fits returns an error, and starts the writer, which adopts the
// journal. Writes of fits are rolled back. It reports whether fits was called.
func (j *Journal) begin(ctx context.Context, fits func(*sql.Tx) error) (asked bool, err error) {
	j.starting.Lock()
	defer j.starting.Unlock()
	if j.writer.Started() {
		return false, nil
	}
	if err := j.update(ctx, fits); err != nil {
		return true, err
	}
	return true, j.start(ctx)
}

// beginAnyhow is begin without a check.
func (j *Journal) beginAnyhow(ctx context.Context) error {
	_, err := j.begin(ctx, func(*sql.Tx) error { return nil })
	return err
}

// update applies the journal's own migrations, unless fits returns an error. j.starting is held.
func (j *Journal) update(ctx context.Context, fits func(*sql.Tx) error) error {
	j.mu.Lock()
	closing := j.closing
	j.mu.Unlock()
	if closing {
		return journal.ErrClosed
	}
	if err := j.writer.Broken(); err != nil { // the files may be another journal's
		return err
	}
	todo, err := j.applied.Todo(schema.Journal, schema.Files)
	if err != nil {
		return err
	}
	err = inTransaction(ctx, j.conn, func(tx *sql.Tx, guarded schema.Guard) error {
		for _, one := range todo {
			if err := one.Run(ctx, tx, guarded); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "SAVEPOINT fits"); err != nil {
			return err
		}
		if err := fits(tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "ROLLBACK TO fits")
		return err
	})
	if err != nil {
		return err
	}
	for _, one := range todo {
		j.applied.Note(one)
	}
	return errors.Join(j.markAgain(ctx, j.conn, false), halves.Settle(ctx, j.conn, j.path))
}

// start starts the writer and the watching goroutines. The journal's own tables are up to date.
func (j *Journal) start(ctx context.Context) error {
	if err := j.conn.QueryRowContext(ctx, newestActs).Scan(&j.lastAct, &j.lastOpenAct); err != nil {
		return row.Explain(err)
	}
	if err := errors.Join(j.keepProgram(ctx, j.conn), j.prepare()); err != nil {
		return err
	}
	if err := j.writer.Start(); err != nil {
		return err
	}
	j.running.Go(j.watchDelayed)
	j.running.Go(func() {
		j.log.Watch(j.ctx, j.writer, j.writeDB, func(c *sql.Conn, whole bool) error { // an empty log is complete
			return j.markAgain(context.Background(), c, whole)
		})
	})
	j.running.Go(j.watchCounts)
	return nil
}

// closeUnused closes a journal whose writer was never started.
func (j *Journal) closeUnused() error {
	err := error(nil)
	if _, known := j.fileNumber(); known && !j.gone.Load() {
		err = file.ClearMark(context.Background(), j.conn)
	}
	return errors.Join(err, j.writer.Close(), j.closeFiles())
}

// migrate applies the new migrations of module in fsys, one transaction a file.
func (j *Journal) migrate(ctx context.Context, c *sql.Conn, module string, fsys fs.FS) error {
	todo, err := j.applied.Todo(module, fsys)
	if err != nil {
		return err
	}
	for _, one := range todo {
		err := inTransaction(ctx, c, func(tx *sql.Tx, guarded schema.Guard) error { return one.Run(ctx, tx, guarded) })
		if err != nil {
			return err
		}
		j.applied.Note(one)
	}
	return nil
}

// inTransaction runs do in a transaction on the write connection, with the fence of the connection as guard.
func inTransaction(ctx context.Context, c *sql.Conn, do func(tx *sql.Tx, guarded schema.Guard) error) error {
	guarded, err := workconn.GuardOf(c)
	if err != nil {
		return err
	}
	tx, err := row.Begin(ctx, c)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // a no-op after Commit
	if err := do(tx, guarded); err != nil {
		return err
	}
	return tx.Commit()
}

// makeFile creates a missing file, and records in the lock file that the journal is being made.
func (j *Journal) makeFile() error {
	info, err := os.Stat(j.path)
	switch {
	case err == nil && info.Size() > 0:
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	j.lock.Making = true
	if err := j.lock.Sign(); err != nil {
		return err
	}
	return file.Create(j.path)
}

// othersRead is the permission of users other than the owner and its group.
const othersRead = 0o004

// takeFile locks the file that SQLite has opened: only this process may write it.
func (j *Journal) takeFile() error {
	info, err := os.Stat(j.path)
	if err != nil {
		return err
	}
	if err := j.lock.HoldFile(info); err != nil {
		return err
	}
	if info.Mode().Perm()&othersRead != 0 {
		j.cfg.Logger.LogAttrs(j.ctx, slog.LevelWarn, "every user of this machine may read the journal, and keep its log from starting over: chmod 600, or 640 for a group",
			slog.String("file", j.path))
	}
	return j.lock.Sign()
}

// made records that the database file has the journal's tables.
func (j *Journal) made() error {
	if !j.lock.Making {
		return nil
	}
	j.lock.Making = false
	return j.lock.Sign()
}

// checkPragmas compares the pragmas of the connection with those in the DSN.
func checkPragmas(ctx context.Context, c *sql.Conn, cfg Config) error {
	want := [][2]string{
		{"journal_mode", "wal"}, {"foreign_keys", "1"},
		{"synchronous", map[string]string{"NORMAL": "1", "OFF": "0"}[synchronous[cfg.Synchronous]]},
		{"busy_timeout", strconv.FormatInt(cfg.BusyTimeout.Milliseconds(), 10)},
	}
	for _, p := range want {
		var got string
		if err := c.QueryRowContext(ctx, "PRAGMA "+p[0]).Scan(&got); err != nil {
			return fmt.Errorf("read pragma %s: %w", p[0], err)
		}
		if got != p[1] {
			return fmt.Errorf("pragma %s is %q where %q was asked for: this file system may not support it (WAL does not work over a network)", p[0], got, p[1])
		}
	}
	return nil
}
