package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// hintedCheck is how soon a commit is looked for that this process is about to make past the writer. It doubles
// until the ordinary pace is reached.
const hintedCheck = time.Millisecond

// watchForeign looks, seldom, whether another connection has committed: a *sql.Tx that somebody else holds on the file,
// or another process that replays dead letters. One PRAGMA four times a second is all that an idle journal does.
func (j *Journal) watchForeign() {
	pace := j.cfg.ForeignCheck
	timer := time.NewTimer(pace)
	defer timer.Stop()
	clock := newClockWatch(j.cfg.now)
	for {
		select {
		case <-j.ctx.Done():
			return
		case <-j.hint:
			pace = hintedCheck
		case <-timer.C:
			if j.lookAtFiles() {
				return
			}
			if clock.stepped() {
				j.clockStepped()
			}
			seen := false
			err := j.writer.submit(j.ctx, &item{alone: func(c *sql.Conn) (err error) {
				seen, err = j.lookForeign(c)
				return err
			}})
			if err != nil && j.ctx.Err() == nil && !errors.Is(err, journal.ErrClosed) {
				j.cfg.Logger.LogAttrs(j.ctx, slog.LevelError, "cannot look for commits by other connections", slog.Any("error", err))
			}
			if pace *= 2; seen || pace > j.cfg.ForeignCheck {
				pace = j.cfg.ForeignCheck
			}
		}
		timer.Reset(pace)
	}
}

// lookAtFiles reports whether the journal's files were moved, removed or replaced: nothing is acknowledged from then on.
func (j *Journal) lookAtFiles() (gone bool) {
	err := cmp.Or(j.site.check(), j.sync.health())
	if !errors.Is(err, ErrGone) {
		return false
	}
	j.gone.Store(true)
	j.sync.fail(err)
	j.cfg.Logger.LogAttrs(j.ctx, slog.LevelError, "the journal's file is gone: nothing is acknowledged any more", slog.Any("error", err))
	return true
}

// lookForeign runs in the writer's goroutine, on its connection, and waits for no other: data_version changes on its connection only when another one has committed.
func (j *Journal) lookForeign(c *sql.Conn) (seen bool, err error) {
	version, err := j.writer.kept.dataVersion.int64()
	if err != nil || version == j.version {
		return false, err
	}
	var head int64
	if err := c.QueryRowContext(j.ctx, "SELECT coalesce(max(seq), 0) FROM events").Scan(&head); err != nil {
		return false, err
	}
	if err := j.takeActs(j.ctx, c); err != nil {
		return false, err
	}
	j.version = version
	j.written()
	j.tail.skipTo(head)
	j.sync.begin()
	j.sync.committed(head, nil) // a foreign connection may not have synced it
	j.wakeAll(j.tail.newest())
	poke(j.delayedWake)
	return true, nil
}

const newActs = `
SELECT a.id, a.act, d.seq, s.name, e.key
FROM acts a JOIN dead_letters d ON d.id = a.dead_letter JOIN subscriptions s ON s.id = d.subscription JOIN events e ON e.seq = d.seq
WHERE a.id > ? ORDER BY a.id`

// takeActs has the subscriptions hear of what people did with their dead letters; the rows are changed already.
func (j *Journal) takeActs(ctx context.Context, q queryer) error {
	rows, err := q.QueryContext(ctx, newActs, j.lastAct)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, seq int64
		var act, name, key string
		if err := rows.Scan(&id, &act, &seq, &name, &key); err != nil {
			return err
		}
		j.lastAct = id
		j.mu.Lock()
		s := j.subs[name]
		j.mu.Unlock()
		switch {
		case s == nil: // not run by this process: its rows tell the one that will
		case act == "replay":
			s.replayed(seq, key)
		case act == "drop":
			s.released(seq, key)
		}
	}
	return rows.Err()
}
