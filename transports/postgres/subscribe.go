package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/transports/postgres/internal/session"
)

// grace is how long calls to the server may go on after the end of the subscription.
const grace = 2 * time.Second

// firstTry is the first pause between looks whether another reader is gone; each further pause is twice as long.
const firstTry = 50 * time.Millisecond

// Subscribe implements message.Subscriber: it delivers the messages of topic to the group, until ctx ends.
//
// While another process reads for the group, Subscribe waits a few seconds, and then returns an error that names the
// other process. The same goes for a transaction that stays open and holds up all messages; an open channel closes
// after 10 s of that. The channel closes at once when the connection is lost; the log has the reason, and so has the
// error of the next Subscribe if the problem lasts. With wire.WithMemory, Subscribe returns a wire.ErrReplaced, and
// open channels close, once a process that started later runs on a copy of the same journal.
func (t *Transport) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	defer t.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(t.lost, cancel)
	r, err := t.open(ctx, topic)
	if err != nil {
		ended := ctx.Err()
		unhook()
		cancel()
		switch {
		case t.ctx.Err() != nil:
			return nil, ErrClosed
		case t.replacedErr() != nil:
			return nil, t.replacedErr()
		case t.changedErr() != nil:
			return nil, t.explain("subscribe to "+topic, t.changedErr())
		case ended != nil:
			return nil, fmt.Errorf("subscribe to %s: %w", topic, ended)
		}
		return nil, t.explain("subscribe to "+topic, err)
	}
	t.running.Go(func() {
		defer cancel()
		defer unhook()
		r.run()
	})
	return r.out, nil
}

// open connects a reader, and registers its group.
func (t *Transport) open(ctx context.Context, topic string) (*reader, error) {
	r := &reader{
		t: t, tables: t.tables(topic), group: wire.PositionName(ctx, t.config.Group), memory: wire.MemoryOf(ctx), ctx: ctx,
		out: make(chan *message.Message, batchRows),
	}
	t.self.Head(r.memory)
	t.forget(topic)
	if err := t.prepare(ctx, topic); err != nil {
		return nil, err
	}
	if err := r.announce(ctx); err != nil {
		return nil, err
	}
	if err := t.waitForHolder(ctx); err != nil {
		return nil, err
	}
	config := t.connect.Copy()
	config.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) { r.more = true }
	var err error
	if r.conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		return nil, err
	}
	if err := r.connectGroup(ctx); err != nil {
		r.closeConn()
		return nil, err
	}
	r.work, r.drop = context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(grace, r.drop) })
	return r, nil
}

// announce claims the reader's journal, so that other processes on copies of the journal notice this one, and reads the
// journal's note.
func (r *reader) announce(ctx context.Context) (err error) {
	r.t.mu.Lock()
	r.layout = r.t.layouts[r.tables.topic]
	r.t.mu.Unlock()
	if r.memory == nil {
		return nil
	}
	r.t.warnUnmarked(r.tables, r.marked)
	if _, err := r.t.claim(ctx, r.tables.topic, r.memory); err != nil {
		return err
	}
	r.t.keepClaim(r.memory)
	r.noted, err = r.readNoted(ctx)
	return err
}

// connectGroup registers the group, and gets its lock and position.
func (r *reader) connectGroup(ctx context.Context) error {
	if err := session.Reader(ctx, r.conn, r.t.config.Timeout); err != nil {
		r.t.config.Logger.Warn("postgres: cannot set keepalives and limits on the server: a reader that is cut off or frozen"+
			" keeps its locks until the server notices", slog.Any("error", err))
	}
	err := pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error {
		// The lock prevents deletions before the first look at the messages, which would leave a gap (prune.go).
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock_shared($1)`, lockOf("prune", r.tables.messages)); err != nil {
			return err
		}
		for _, q := range r.t.offsets.BeforeSubscribingQueries(r.tables.topic, r.group) {
			if _, err := tx.Exec(ctx, q.Query, q.Args...); err != nil {
				return err
			}
		}
		return r.setOwner(ctx, tx)
	})
	if err != nil {
		return err
	}
	return r.waitForLock(ctx)
}

// setOwner writes the deployable's name to the position.
func (r *reader) setOwner(ctx context.Context, tx pgx.Tx) error {
	if !r.owned {
		return nil
	}
	_, err := tx.Exec(ctx, `UPDATE `+quoted(r.tables.offsets)+` SET `+ownerColumn+` = $2 WHERE consumer_group = $1 AND `+ownerColumn+` IS DISTINCT FROM $2`,
		r.group, r.t.config.Group)
	return err
}

// waitForLock returns when this reader has the group's lock. After a few seconds, it returns an error that names the
// other reader.
func (r *reader) waitForLock(ctx context.Context) error {
	until := time.Now().Add(min(tryFor, r.t.config.Timeout/2))
	for pause := firstTry; ; pause *= 2 {
		ours, err := r.tryLock(ctx)
		if err != nil || ours {
			return err
		}
		if pause == firstTry { // the lock may have been released before LISTEN
			if err := r.listen(ctx, r.tables.offsets); err != nil {
				return err
			}
		} else if time.Now().After(until) {
			return r.otherReaderErr(ctx)
		}
		limited, cancel := context.WithTimeout(ctx, pause)
		err = r.waitNotified(limited)
		cancel()
		if err != nil {
			return err
		}
	}
}

// selectReader finds the session that has an advisory lock.
const selectReader = `
SELECT l.pid, coalesce(application_name, ''), coalesce(host(client_addr), 'the same machine'), coalesce(backend_start::timestamptz(0)::text, '')
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
	AND (classid::bigint << 32 | objid::bigint) = (` + lockKey + `)`

func (r *reader) otherReaderErr(ctx context.Context) error {
	var pid int
	var application, from, since string
	err := r.conn.QueryRow(ctx, selectReader, r.tables.lock(r.group)...).Scan(&pid, &application, &from, &since)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return permanentf("another process read for group %s until now: try again", r.group)
	case err != nil:
		return err
	}
	return permanentf("another process reads for group %s: application %q from %s, connected since %s, pid %d: stop one of them, or give one another name"+
		" and journal; if it was killed, the server notices within 15 s", r.group, application, from, since, pid)
}

func (r *reader) listen(ctx context.Context, channel string) error {
	_, err := r.conn.Exec(ctx, `LISTEN `+quoted(channel))
	return err
}

// tryLock tries to get the group's lock, and then the position. The end of the session releases the lock.
func (r *reader) tryLock(ctx context.Context) (ours bool, err error) {
	if err := r.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(`+lockKey+`)`, r.tables.lock(r.group)...).Scan(&ours); err != nil || !ours {
		return false, err
	}
	if err := r.listen(ctx, r.tables.messages); err != nil {
		return false, err
	}
	err = pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error { return r.findStart(ctx, tx) })
	if err != nil {
		return false, err
	}
	r.more = true
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	r.t.reading[r.tables.topic] = r.group
	return true, nil
}

// reportTroubles delivers messages about trouble with the position and about deleted messages. The position does not
// move until they are acknowledged.
func (r *reader) reportTroubles() {
	if r.trouble != "" {
		r.reportTrouble(r.read, r.trouble, false)
	}
	if r.deleted != (position{}) {
		r.reportTrouble(r.deleted, fmt.Sprintf("topic %s: the messages up to offset %d are gone: they were deleted by age before group %s had read them;"+
			" reading continues at the oldest message", r.tables.topic, r.deleted.offset, r.group), r.first)
	}
}

// reportTrouble delivers a message about trouble. first means that only messages before the group's first read are
// gone.
func (r *reader) reportTrouble(at position, trouble string, first bool) {
	found := at.name(r.tables.messages) + "/" + r.group // unlike the position of any message
	msg := message.NewMessage(found, []byte{})
	msg.Metadata[wire.MetaPosition], msg.Metadata[wire.MetaTrouble] = found, trouble
	if first {
		msg.Metadata[wire.MetaFirst] = "true"
	}
	r.t.config.Logger.Warn("postgres: " + trouble)
	r.window.add([]*flight{{position: at, msg: msg, size: rowBytes}})
}

// lockKey is the key of a lock, which differs for tables of the same name in several schemas.
const lockKey = `$1 # $2::text::regclass::oid::bigint`

// lock returns the arguments of lockKey.
func (tb tables) lock(group string) []any {
	return []any{lockOf("read", group), quoted(tb.offsets)}
}

// closeConn closes the connection in any state.
func (r *reader) closeConn() {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	_ = r.conn.Close(ctx) // the server releases its locks in any case
	select {
	case <-r.conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}
