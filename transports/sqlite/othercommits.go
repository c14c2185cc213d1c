package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/oncelog"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// hintedCheck is the first interval of the search for a commit of this process that bypasses the writer. The interval
// doubles up to Config.ForeignCheck.
const hintedCheck = time.Millisecond

// watchForeign looks for commits of other connections: a caller's *sql.Tx on the file, or another process that replays
// dead letters. An idle journal runs one PRAGMA four times a second.
func (j *Journal) watchForeign() {
	pace := j.cfg.ForeignCheck
	timer := time.NewTimer(pace)
	defer timer.Stop()
	clock := newClockWatch(j.cfg.now)
	tries := oncelog.NewTries(j.cfg.Logger, "looking for commits of other connections")
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
			if !j.writer.Started() { // only the files can be checked
				pace = j.cfg.ForeignCheck
				break
			}
			if clock.stepped() {
				j.clockStepped()
			}
			seen, err := j.lookOnce(j.ctx)
			if j.ctx.Err() != nil || errors.Is(err, journal.ErrClosed) {
				return
			}
			tries.Note(err)
			if err == nil && j.memory.waits() { // positions wait for a commit, and a kill would lose them
				_ = j.writer.EnqueueEmpty() // on an error, Close writes them
			}
			if pace *= 2; seen || pace > j.cfg.ForeignCheck {
				pace = j.cfg.ForeignCheck
			}
		}
		timer.Reset(pace)
	}
}

// Look takes up commits of other connections, and checks the clock, at once. A journal does so every
// Config.ForeignCheck: Look is for tests without these checks.
func (j *Journal) Look(ctx context.Context) error {
	j.clockStepped()
	_, err := j.lookOnce(ctx)
	return err
}

// lookOnce makes the writer look for commits of others, between two groups.
func (j *Journal) lookOnce(ctx context.Context) (seen bool, err error) {
	err = j.writer.Submit(ctx, &commit.Item{Alone: func(c *sql.Conn) (err error) {
		seen, err = j.lookForeign(c)
		return err
	}})
	return seen, err
}

// lookForeign runs in the writer's goroutine, on its connection, and waits for no other. data_version changes only when
// another connection has committed.
func (j *Journal) lookForeign(c *sql.Conn) (seen bool, err error) {
	version, err := j.kept.dataVersion.Int64()
	if err != nil || version == j.version {
		return false, err
	}
	var head int64
	if err := c.QueryRowContext(j.ctx, "SELECT coalesce(max(seq), 0) FROM events").Scan(&head); err != nil {
		return false, err
	}
	more, err := j.takeActs(j.ctx, c)
	if err != nil {
		return false, err
	}
	if more { // look again at once
		wake.Poke(j.hint)
	} else {
		j.version = version
	}
	j.log.Written()
	j.tail.SkipTo(head)
	j.writer.Foreign(head) // the other connection may not have synced
	j.wakeAll(j.tail.Newest())
	wake.Poke(j.delayedWake)
	return true, nil
}

// actsAtOnce bounds the acts that one look takes up, so that others can write in between.
const actsAtOnce = 2000

const (
	newestActs = "SELECT (SELECT coalesce(max(id), 0) FROM acts), (SELECT coalesce(max(id), 0) FROM open_acts)"

	newActs = `
SELECT a.id, a.act, d.seq, s.name, e.key
FROM acts a JOIN dead_letters d ON d.id = a.dead_letter JOIN subscriptions s ON s.id = d.subscription JOIN events e ON e.seq = d.seq
WHERE a.id > ? ORDER BY a.id LIMIT ?`

	newOpenActs = `
SELECT a.id, a.act, a.seq, s.name, e.key
FROM open_acts a JOIN subscriptions s ON s.id = a.subscription JOIN events e ON e.seq = a.seq
WHERE a.id > ? ORDER BY a.id LIMIT ?`
)

// takeActs passes new acts of people to the subscriptions; the rows have changed already. It reports whether there are
// more acts.
func (j *Journal) takeActs(ctx context.Context, q row.Queryer) (more bool, err error) {
	for _, log := range []struct {
		query string
		last  *int64
	}{{newActs, &j.lastAct}, {newOpenActs, &j.lastOpenAct}} {
		n, err := j.takeActsOf(ctx, q, log.query, log.last)
		if err != nil {
			return false, err
		}
		more = more || n == actsAtOnce
	}
	return more, nil
}

func (j *Journal) takeActsOf(ctx context.Context, q row.Queryer, query string, last *int64) (n int, err error) {
	rows, err := q.QueryContext(ctx, query, *last, actsAtOnce)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	for ; rows.Next(); n++ {
		var id, seq int64
		var act, name, key string
		if err := rows.Scan(&id, &act, &seq, &name, &key); err != nil {
			return n, err
		}
		*last = id
		j.mu.Lock()
		s := j.subs[name]
		j.mu.Unlock()
		if s != nil { // otherwise the process that runs the subscription reads the rows
			s.acted(seq, key, act)
		}
	}
	return n, rows.Err()
}

// lookAtFiles reports whether the journal's files were moved, removed or replaced. From then on the journal
// acknowledges nothing.
func (j *Journal) lookAtFiles() (gone bool) {
	err := cmp.Or(j.log.Check(), j.writer.Cause())
	if !errors.Is(err, file.ErrGone) {
		return false
	}
	j.writer.Fail(err)
	if j.gone.Swap(true) {
		return true
	}
	j.cfg.Logger.LogAttrs(j.ctx, slog.LevelError, "the journal's file is gone: nothing is acknowledged any more", slog.Any("error", err))
	return true
}
