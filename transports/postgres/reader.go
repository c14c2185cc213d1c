package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"

	"github.com/troupebus/troupe/bus/journal"
)

const (
	// What one look at the table brings at most, and at least one message.
	batchRows  = 500
	batchBytes = 8 << 20
	// keepEvery is how often the place is kept at most.
	keepEvery = 250 * time.Millisecond
	// While a message is held up by an older transaction it is tried again after firstLook, and then less and less often.
	firstLook = 2 * time.Millisecond
	lastLook  = 250 * time.Millisecond
	// heldUp is how long one transaction may hold up messages before the reader ends, for Subscribe to say so.
	heldUp = 10 * time.Second
)

// reader reads a topic for one subscription. All it does with its connection it does in one goroutine, run.
type reader struct {
	t      *Transport
	tables tables
	layout
	group  string          // under which the place is kept
	memory journal.Memory  // nil for none
	noted  noted           // what that notes of the place
	id     tableID         // of the messages
	ctx    context.Context // the subscription's
	work   context.Context // what the server is asked in: it ends a little later
	drop   context.CancelFunc
	conn   *pgx.Conn
	out    chan *message.Message
	window *window

	trouble  string        // what is wrong with the place; "" for nothing
	first    bool          // nobody has read before
	deleted  place         // up to here messages were deleted; zero when none that were not read
	read     place         // everything up to here is in the window
	kept     place         // everything up to here is acknowledged, and the server knows it
	lastKept time.Time     // when it was told, or could not be
	failing  time.Time     // since when it could not be; zero when it could
	more     bool          // there may be something to read
	nextLook time.Time     // when to look in any case
	pause    time.Duration // until the next look at messages that are held up; 0 when none are
	oldest   uint64        // the transaction that was the oldest open one at the last look
	held     time.Time     // since when it is that, while messages wait for it
	// interrupt ends the wait for a notification. The window's mu guards it.
	interrupt context.CancelFunc
	wantsAck  bool
	wantsRoom bool
}

// run reads until the subscription ends or is in trouble, keeps the place and closes the channel.
func (r *reader) run() {
	defer close(r.out)
	defer r.hangUp()
	defer r.drop()
	err := r.serve()
	switch {
	case errors.Is(err, errHeld):
		r.t.mu.Lock()
		r.t.holder = r.oldest
		r.t.mu.Unlock()
	case err != nil:
		r.t.config.Logger.Warn("postgres: reading stops; messages whose acknowledgement is not kept come again", slog.String("topic", r.tables.topic),
			slog.Any("error", r.t.explain("read "+r.tables.topic, err)))
	}
}

// call asks the server something, with a limit.
func (r *reader) call(ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(r.work, r.t.config.Timeout)
	defer cancel()
	return ask(ctx)
}

// hear waits for a notification until ctx ends, which is no error: pgx's connection outlives that.
func (r *reader) hear(ctx context.Context) error {
	err := r.conn.PgConn().WaitForNotification(ctx)
	if err != nil && ctx.Err() != nil && !r.conn.IsClosed() {
		return nil
	}
	return err
}

// serve reads and keeps the place, until the subscription ends or is in trouble.
func (r *reader) serve() (err error) {
	ctx, cancel := context.WithCancel(r.ctx)
	r.window = newWindow(ctx, r.kept, r.out, r.changed)
	r.tell()
	for r.ctx.Err() == nil && err == nil {
		err = r.step()
	}
	cancel()
	r.window.handing.Wait()
	r.window.drain()
	if err != nil && r.conn.IsClosed() {
		return err
	}
	if r.t.lost.Err() != nil && r.t.ctx.Err() == nil { // the place means nothing in another database, and is another process's to move
		return errors.Join(err, r.call(r.leave))
	}
	return errors.Join(err, r.keep(true), r.call(r.leave))
}

// step does what is due, and waits for more.
func (r *reader) step() error {
	if err := r.look(); err != nil {
		return err
	}
	if err := r.keep(false); err != nil {
		return err
	}
	return r.rest()
}

// leave frees the group's place, and tells who waits for it.
func (r *reader) leave(ctx context.Context) error {
	_, err := r.conn.Exec(ctx, `SELECT pg_advisory_unlock(`+lockKey+`), pg_notify($3, '')`, append(r.tables.lock(r.group), r.tables.offsets)...)
	return err
}

// look reads on if there may be something, or it is time.
func (r *reader) look() error {
	r.window.mu.Lock()
	room := r.window.hasRoom()
	r.window.mu.Unlock()
	if time.Now().Before(r.nextLook) && !(r.more && room) {
		return nil
	}
	if !room { // whether the connection is well is all there is to see
		r.more, r.nextLook = true, time.Now().Add(r.t.config.Poll)
		return r.call(r.conn.Ping)
	}
	return r.call(r.fetch)
}

// selectMessages reads from behind a place. A row is final when every transaction up to its own has ended: then none can appear
// before it any more. Rows that are not come without their contents, behind all that are.
//
// watermill-sql's own query asks for "this transaction and a greater offset, or a greater transaction", for which PostgreSQL
// sorts all that is left on every look; a comparison of rows is a walk along the index.
const selectMessages = `
WITH now AS MATERIALIZED (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS oldest),
next AS (
	SELECT m.*, now.oldest, transaction_id < now.oldest AS final,
		sum(octet_length(payload)) OVER (ORDER BY transaction_id, "offset" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
	FROM (
		SELECT transaction_id, "offset", uuid, key, payload, metadata FROM %s
		WHERE (transaction_id, "offset") > ($1, $2) ORDER BY transaction_id, "offset" LIMIT %d) m, now)
SELECT transaction_id, "offset", oldest, CASE WHEN final THEN uuid ELSE '' END, key,
	CASE WHEN final THEN payload END, CASE WHEN final THEN metadata::text END
FROM next WHERE coalesce(before, 0) < $3 ORDER BY transaction_id, "offset"`

// fetch reads a batch, and notes when to look again.
func (r *reader) fetch(ctx context.Context) error {
	r.more = false
	query := fmt.Sprintf(selectMessages, quoted(r.tables.messages), batchRows)
	rows, err := r.conn.Query(ctx, query, r.read.transaction, r.read.offset, batchBytes)
	if err != nil {
		return err
	}
	var flights []*flight
	size, waits := 0, false
	for rows.Next() {
		var m row
		var oldest uint64
		if err := rows.Scan(&m.place.transaction, &m.place.offset, &oldest, &m.uuid, &m.key, &m.payload, &m.metadata); err != nil {
			rows.Close()
			return err
		}
		if m.place.transaction >= oldest {
			waits = true
			r.waitFor(oldest)
			break
		}
		msg := m.message(m.place.in(r.tables.messages))
		flights = append(flights, &flight{place: m.place, msg: msg, size: rowBytes + len(m.payload)})
		size += len(m.payload)
		r.read = m.place
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return err // what was read already is not in the window; the place is read again with the next subscription
	}
	r.window.add(flights)
	r.more = r.more || !waits && (len(flights) == batchRows || size >= batchBytes)
	r.nextLook = time.Now().Add(r.t.config.Poll)
	return r.holdUp(waits)
}

// waitFor notes which transaction messages wait for.
func (r *reader) waitFor(oldest uint64) {
	if r.oldest != oldest || r.pause == 0 {
		r.oldest, r.held = oldest, time.Now()
	}
}

// holdUp has messages that wait for older transactions looked at again soon. It is errHeld when they have waited for one for long,
// and nothing that was delivered would have to come again.
func (r *reader) holdUp(waits bool) error {
	if !waits {
		r.pause = 0
		return nil
	}
	r.pause = min(max(2*r.pause, firstLook), lastLook)
	r.nextLook = time.Now().Add(min(r.pause, r.t.config.Poll))
	r.window.mu.Lock()
	defer r.window.mu.Unlock()
	if len(r.window.flights) > 0 || time.Since(r.held) < r.t.config.heldUp {
		return nil
	}
	return errHeld
}

// keep tells the server up to where everything is acknowledged, if that is new, and it was not told just now.
func (r *reader) keep(now bool) error {
	r.window.mu.Lock()
	acked := r.window.acked
	r.window.mu.Unlock()
	if acked == r.kept || !now && time.Since(r.lastKept) < keepEvery {
		return nil
	}
	r.lastKept = time.Now()
	r.note(acked)
	err := r.call(func(ctx context.Context) error {
		if r.marked {
			return r.write(ctx, r.conn, acked, r.t.self.Mark(r.id.String(), r.memory))
		}
		q := r.t.offsets.AckMessageQuery(r.tables.topic,
			watermillsql.Row{Offset: acked.offset, ExtraData: map[string]any{"transaction_id": acked.transaction}}, r.group)
		_, err := r.conn.Exec(ctx, q.Query, q.Args...)
		return err
	})
	if err == nil {
		r.kept, r.failing = acked, time.Time{}
		return nil
	}
	if r.failing.IsZero() {
		r.failing = r.lastKept
	}
	if !now && !r.conn.IsClosed() && time.Since(r.failing) < r.t.config.Timeout {
		return nil // the disk may be full for a moment; reading goes on
	}
	return fmt.Errorf("keep the place: %w", err)
}

// rest waits until there is something to do.
func (r *reader) rest() error {
	w := r.window
	w.mu.Lock()
	room := w.hasRoom()
	if r.more && room {
		w.mu.Unlock()
		return nil
	}
	until := r.nextLook
	r.wantsAck, r.wantsRoom = w.acked == r.kept, !room
	if due := r.lastKept.Add(keepEvery); !r.wantsAck && due.Before(until) {
		until = due
	}
	ctx, cancel := context.WithDeadline(r.ctx, until)
	defer cancel()
	r.interrupt = cancel
	w.mu.Unlock()
	err := r.hear(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	r.interrupt = nil
	return err
}

// changed is called by the window, with its mu held.
func (r *reader) changed() {
	if r.interrupt != nil && (r.wantsAck || r.wantsRoom && r.window.hasRoom()) {
		r.interrupt()
		r.interrupt = nil
	}
}
