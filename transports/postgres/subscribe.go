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
)

// grace is how long what a reader has asked the server may go on after the end of its subscription.
const grace = 2 * time.Second

// firstTry is after how long it is seen whether another reader has gone without telling; then less and less often.
const firstTry = 50 * time.Millisecond

// Subscribe implements message.Subscriber: it delivers the messages of topic to the group. While another process of the group
// reads, it waits for some seconds, and is an error then that names the other. So it is while a transaction that stays open holds
// up all messages; a channel that is open is closed after 10 s of that. A connection that is lost closes the channel at once; the
// log says why, and so does the next Subscribe if it lasts. Until then ctx bounds everything, and Config.Timeout bounds the call. With
// wire.WithMemory, it is a wire.ErrReplaced once a process that started later runs on a copy of the same journal; open channels close.
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
		case t.isReplaced() != nil:
			return nil, t.isReplaced()
		case t.isAnother() != nil:
			return nil, t.explain("subscribe to "+topic, t.isAnother())
		case ended != nil:
			return nil, fmt.Errorf("postgres: subscribe to %s: %w", topic, ended)
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

// open connects a reader, and makes its group known.
func (t *Transport) open(ctx context.Context, topic string) (*reader, error) {
	r := &reader{t: t, tables: t.tables(topic), group: wire.PositionName(ctx, t.config.Group), memory: wire.MemoryOf(ctx), ctx: ctx,
		out: make(chan *message.Message, batchRows)}
	t.self.Head(r.memory)
	limited, cancel := context.WithTimeout(ctx, t.config.Timeout)
	defer cancel()
	t.forget(topic)
	if err := t.prepare(limited, topic); err != nil {
		return nil, err
	}
	if err := r.meet(limited); err != nil {
		return nil, err
	}
	if err := t.waitForHolder(limited); err != nil {
		return nil, err
	}
	config := t.connect.Copy()
	config.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) { r.more = true }
	var err error
	if r.conn, err = pgx.ConnectConfig(limited, config); err != nil {
		return nil, err
	}
	if err := r.begin(limited); err != nil {
		r.hangUp()
		return nil, err
	}
	r.work, r.drop = context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(grace, r.drop) })
	return r, nil
}

// meet tells processes on copies of the reader's journal that this one is there, and reads what the journal notes.
func (r *reader) meet(ctx context.Context) (err error) {
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
	r.t.claims(r.memory)
	r.noted, err = r.readNoted(ctx)
	return err
}

// The server notices within 15 s that a reader's machine has gone without a word, or it would keep the group's place for it
// for hours. A place that a crash of the server forgets is one that is read again: keeping it need not wait for the disk.
const settings = `
SELECT set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '5', false),
	set_config('tcp_keepalives_count', '2', false), set_config('tcp_user_timeout', '15000', false),
	set_config('synchronous_commit', 'off', false), ` + sessionLimits

// begin makes the group known and gets its place.
func (r *reader) begin(ctx context.Context) error {
	if _, err := r.conn.Exec(ctx, settings, r.t.limit()); err != nil {
		r.t.config.Logger.Warn("postgres: the server cannot be told to look after connections: a reader whose machine goes without a word"+
			" keeps its group's place until the server notices", slog.Any("error", err))
	}
	err := pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error {
		// Nothing is deleted between this and the first look at the messages that would leave a gap in them (prune.go).
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock_shared($1)`, lockOf("prune", r.tables.messages)); err != nil {
			return err
		}
		for _, q := range r.t.offsets.BeforeSubscribingQueries(r.tables.topic, r.group) {
			if _, err := tx.Exec(ctx, q.Query, q.Args...); err != nil {
				return err
			}
		}
		return r.sign(ctx, tx)
	})
	if err != nil {
		return err
	}
	return r.await(ctx)
}

// sign notes in the place whose it is.
func (r *reader) sign(ctx context.Context, tx pgx.Tx) error {
	if !r.owned {
		return nil
	}
	_, err := tx.Exec(ctx, `UPDATE `+quoted(r.tables.offsets)+` SET `+ownerColumn+` = $2 WHERE consumer_group = $1 AND `+ownerColumn+` IS DISTINCT FROM $2`,
		r.group, r.t.config.Group)
	return err
}

// await returns when the group's place is ours. When another reader has kept it for some seconds, the error names that.
func (r *reader) await(ctx context.Context) error {
	until := time.Now().Add(min(tryFor, r.t.config.Timeout/2))
	for pause := firstTry; ; pause *= 2 {
		ours, err := r.claim(ctx)
		if err != nil || ours {
			return err
		}
		if pause == firstTry { // it may have become free before we listen
			if err := r.listen(ctx, r.tables.offsets); err != nil {
				return err
			}
		} else if time.Now().After(until) {
			return r.sayWhoReads(ctx)
		}
		limited, cancel := context.WithTimeout(ctx, pause)
		err = r.hear(limited)
		cancel()
		if err != nil {
			return err
		}
	}
}

// selectWhoReads finds the session that has an advisory lock.
const selectWhoReads = `
SELECT l.pid, coalesce(application_name, ''), coalesce(host(client_addr), 'the same machine'), coalesce(backend_start::timestamptz(0)::text, '')
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
	AND (classid::bigint << 32 | objid::bigint) = (` + lockKey + `)`

func (r *reader) sayWhoReads(ctx context.Context) error {
	var pid int
	var application, from, since string
	err := r.conn.QueryRow(ctx, selectWhoReads, r.tables.lock(r.group)...).Scan(&pid, &application, &from, &since)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return refuse("another process read for group %s until now: try again", r.group)
	case err != nil:
		return err
	}
	return refuse("another process reads for group %s: application %q from %s, connected since %s, pid %d: stop one of the two, or give one a name"+
		" and a journal of its own; if it was killed, the server notices within 15 s", r.group, application, from, since, pid)
}

func (r *reader) listen(ctx context.Context, channel string) error {
	_, err := r.conn.Exec(ctx, `LISTEN `+quoted(channel))
	return err
}

// claim tries to become the one who reads for the group. The lock is the session's: it is free when that has ended.
func (r *reader) claim(ctx context.Context) (ours bool, err error) {
	if err := r.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(`+lockKey+`)`, r.tables.lock(r.group)...).Scan(&ours); err != nil || !ours {
		return false, err
	}
	if err := r.listen(ctx, r.tables.messages); err != nil {
		return false, err
	}
	err = pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error { return r.takeUp(ctx, tx) })
	if err != nil {
		return false, err
	}
	r.more = true
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	r.t.reading[r.tables.topic] = r.group
	return true, nil
}

// tell delivers messages that say what is wrong with the place, and what the group cannot read any more, until these are acknowledged.
func (r *reader) tell() {
	if r.trouble != "" {
		r.tellOf(r.read, r.trouble, false)
	}
	if r.deleted != (place{}) {
		r.tellOf(r.deleted, fmt.Sprintf("topic %s: the messages up to offset %d are gone: they were old, and deleted before group %s had read them;"+
			" read on at the oldest that is left", r.tables.topic, r.deleted.offset, r.group), r.first)
	}
}

// tellOf delivers a message that stands for trouble. First says that only what was before the first read is gone.
func (r *reader) tellOf(at place, trouble string, first bool) {
	found := at.in(r.tables.messages) + "/" + r.group // not where a message was found
	msg := message.NewMessage(found, []byte{})
	msg.Metadata[wire.MetaPosition], msg.Metadata[wire.MetaTrouble] = found, trouble
	if first {
		msg.Metadata[wire.MetaFirst] = "true"
	}
	r.t.config.Logger.Warn("postgres: " + trouble)
	r.window.add([]*flight{{place: at, msg: msg, size: rowBytes}})
}

// lockKey tells tables of one name in several schemas apart.
const lockKey = `$1 # $2::text::regclass::oid::bigint`

// lock is what lockKey needs.
func (tb tables) lock(group string) []any {
	return []any{lockOf("read", group), quoted(tb.offsets)}
}

// hangUp ends the connection, whatever state it is in.
func (r *reader) hangUp() {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	_ = r.conn.Close(ctx) // the server frees what it holds in any case
	select {
	case <-r.conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}
