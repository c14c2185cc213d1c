package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
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
			if j.writer.late.Load() { // the files are all that there is to look at
				pace = j.cfg.ForeignCheck
				break
			}
			if clock.stepped() {
				j.clockStepped()
			}
			seen, err := j.lookOnce(j.ctx)
			if err != nil && j.ctx.Err() == nil && !errors.Is(err, journal.ErrClosed) {
				j.cfg.Logger.LogAttrs(j.ctx, slog.LevelError, "cannot look for commits by other connections", slog.Any("error", err))
			}
			if err == nil && j.memory.waits() { // for a commit, and a kill would take what it notes
				_ = j.writer.enqueue(&item{run: func(*unit) error { return nil }}) // or the writer is closed, and Close writes it
			}
			if pace *= 2; seen || pace > j.cfg.ForeignCheck {
				pace = j.cfg.ForeignCheck
			}
		}
		timer.Reset(pace)
	}
}

// Look takes up at once what other connections have committed, and where the clock is. A journal does so by itself
// every Config.ForeignCheck: it is for tests that turn that off.
func (j *Journal) Look(ctx context.Context) error {
	j.clockStepped()
	_, err := j.lookOnce(ctx)
	return err
}

// lookOnce has the writer look for commits by others, between two groups.
func (j *Journal) lookOnce(ctx context.Context) (seen bool, err error) {
	err = j.writer.submit(ctx, &item{alone: func(c *sql.Conn) (err error) {
		seen, err = j.lookForeign(c)
		return err
	}})
	return seen, err
}

// lookForeign runs in the writer's goroutine, on its connection, and waits for no other: data_version changes on its
// connection only when another one has committed.
func (j *Journal) lookForeign(c *sql.Conn) (seen bool, err error) {
	version, err := j.writer.kept.dataVersion.int64()
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
	j.written()
	j.tail.SkipTo(head)
	j.sync.begin()
	j.sync.committed(head, nil) // a foreign connection may not have synced it
	j.wakeAll(j.tail.Newest())
	wake.Poke(j.delayedWake)
	return true, nil
}

// actsAtOnce bounds how many acts one look takes up, so that others can write in between.
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

// takeActs has the subscriptions hear of what people did with their deliveries; the rows are changed already. It
// reports whether there is more to take.
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
		if s != nil { // otherwise its rows tell the process that will run it
			s.acted(seq, key, act)
		}
	}
	return n, rows.Err()
}

// lookAtFiles reports whether the journal's files were moved, removed or replaced: nothing is acknowledged from then
// on.
func (j *Journal) lookAtFiles() (gone bool) {
	err := cmp.Or(j.site.Check(), j.sync.reason())
	if !errors.Is(err, file.ErrGone) {
		return false
	}
	j.sync.fail(err)
	if j.gone.Swap(true) {
		return true
	}
	j.cfg.Logger.LogAttrs(j.ctx, slog.LevelError, "the journal's file is gone: nothing is acknowledged any more", slog.Any("error", err))
	return true
}
