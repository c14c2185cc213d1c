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
	// Limits of a look at the table, which returns at least one message.
	batchRows  = 500
	batchBytes = 8 << 20
	// keepEvery is the minimum time between two writes of the position.
	keepEvery = 250 * time.Millisecond
	// The pauses before another look at messages that wait for an older transaction: the first, and the longest.
	firstLook = 2 * time.Millisecond
	lastLook  = 250 * time.Millisecond
	// heldUp is how long messages may wait for the same transaction before the reader ends, so that Subscribe can name the
	// transaction.
	heldUp = 10 * time.Second
)

// reader reads a topic for a subscription. Only the goroutine of run uses the connection.
type reader struct {
	t      *Transport
	tables tables
	layout
	group  string          // name under which the position is stored
	memory journal.Memory  // may be nil
	noted  noted           // the journal's note of the position
	id     tableID         // of the messages
	ctx    context.Context // of the subscription
	work   context.Context // for calls to the server; ends a little later than ctx
	drop   context.CancelFunc
	conn   *pgx.Conn
	out    chan *message.Message
	window *window

	trouble  string        // with the position at the start; "" for none
	first    bool          // the group has not read before
	deleted  position      // messages up to here were deleted before they were read; zero for none
	read     position      // all messages up to here are in the window
	kept     position      // the position on the server; all messages up to here are acknowledged
	lastKept time.Time     // when the last write of the position was tried
	failing  time.Time     // when these writes began to fail; zero while they succeed
	more     bool          // there may be messages to read
	nextLook time.Time     // when to look without a notification
	pause    time.Duration // until the next look at messages that are held up; zero when there are none
	oldest   uint64        // the oldest open transaction at the last look
	held     time.Time     // since when messages have waited for oldest
	// interrupt ends the wait for a notification. The window's mu guards it.
	interrupt context.CancelFunc
	wantsAck  bool
	wantsRoom bool
}

// run reads until the subscription ends or fails. Then it writes the last position, and closes the channel.
func (r *reader) run() {
	defer close(r.out)
	defer r.closeConn()
	defer r.drop()
	err := r.serve()
	switch {
	case errors.Is(err, errHeld):
		r.t.mu.Lock()
		r.t.holder = r.oldest
		r.t.mu.Unlock()
	case err != nil:
		r.t.config.Logger.Warn("postgres: stopped reading; messages after the stored position will be delivered again", slog.String("topic", r.tables.topic),
			slog.Any("error", r.t.explain("read "+r.tables.topic, err)))
	}
}

// waitNotified waits for a notification until ctx ends, which is no error: pgx's connection survives.
func (r *reader) waitNotified(ctx context.Context) error {
	err := r.conn.PgConn().WaitForNotification(ctx)
	if err != nil && ctx.Err() != nil && !r.conn.IsClosed() {
		return nil
	}
	return err
}

// serve reads messages and writes the position, until the subscription ends or fails.
func (r *reader) serve() (err error) {
	ctx, cancel := context.WithCancel(r.ctx)
	r.window = newWindow(ctx, r.kept, r.out, r.changed)
	r.reportTroubles()
	for r.ctx.Err() == nil && err == nil {
		err = r.step()
	}
	cancel()
	r.window.delivering.Wait()
	r.window.drain()
	if err != nil && r.conn.IsClosed() {
		return err
	}
	// The position is meaningless in another database, or belongs to another process now.
	if r.t.lost.Err() != nil && r.t.ctx.Err() == nil {
		return errors.Join(err, r.unlock(r.work))
	}
	return errors.Join(err, r.storePosition(true), r.unlock(r.work))
}

// step reads, writes the position, and waits.
func (r *reader) step() error {
	if err := r.look(); err != nil {
		return err
	}
	if err := r.storePosition(false); err != nil {
		return err
	}
	return r.wait()
}

// unlock releases the group's lock, and notifies a reader that waits for it.
func (r *reader) unlock(ctx context.Context) error {
	_, err := r.conn.Exec(ctx, `SELECT pg_advisory_unlock(`+lockKey+`), pg_notify($3, '')`, append(r.tables.lock(r.group), r.tables.offsets)...)
	return err
}

// look reads messages when there may be any, or when nextLook has come.
func (r *reader) look() error {
	r.window.mu.Lock()
	room := r.window.hasRoom()
	r.window.mu.Unlock()
	if time.Now().Before(r.nextLook) && !(r.more && room) {
		return nil
	}
	if !room { // only check the connection
		r.more, r.nextLook = true, time.Now().Add(r.t.config.Poll)
		return r.conn.Ping(r.work)
	}
	return r.fetch(r.work)
}

// selectMessages reads the messages after a position. A row is final when every transaction up to its own has ended:
// after that, no row can appear before it. Rows that are not final come last, and without contents.
//
// watermill-sql's own query asks for "this transaction and a greater offset, or a greater transaction". For that,
// PostgreSQL sorts all remaining rows on every look; a comparison of rows is a walk along the index.
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

// fetch reads a batch, and sets the time of the next look.
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
		err := rows.Scan(&m.position.transaction, &m.position.offset, &oldest, &m.uuid, &m.key, &m.payload, &m.metadata)
		if err != nil {
			rows.Close()
			return err
		}
		if m.position.transaction >= oldest {
			waits = true
			r.waitFor(oldest)
			break
		}
		msg := m.message(m.position.name(r.tables.messages))
		flights = append(flights, &flight{position: m.position, msg: msg, size: rowBytes + len(m.payload)})
		size += len(m.payload)
		r.read = m.position
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return err // the batch is not in the window; the next subscription reads it again
	}
	r.window.add(flights)
	r.more = r.more || !waits && (len(flights) == batchRows || size >= batchBytes)
	r.nextLook = time.Now().Add(r.t.config.Poll)
	return r.holdUp(waits)
}

// waitFor notes the transaction for which messages wait.
func (r *reader) waitFor(oldest uint64) {
	if r.oldest != oldest || r.pause == 0 {
		r.oldest, r.held = oldest, time.Now()
	}
}

// holdUp schedules another look at messages that wait for an older transaction. After heldUp, it returns errHeld,
// unless a message is in flight and would be delivered again.
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

// storePosition writes the position if it moved, at most every keepEvery unless now is set.
func (r *reader) storePosition(now bool) error {
	r.window.mu.Lock()
	acked := r.window.acked
	r.window.mu.Unlock()
	if acked == r.kept || !now && time.Since(r.lastKept) < keepEvery {
		return nil
	}
	r.lastKept = time.Now()
	r.note(acked)
	err := r.writePosition(acked)
	if err == nil {
		r.kept, r.failing = acked, time.Time{}
		return nil
	}
	if r.failing.IsZero() {
		r.failing = r.lastKept
	}
	if !now && !r.conn.IsClosed() && time.Since(r.failing) < r.t.config.Timeout {
		return nil // the disk may be full for a moment; reading continues
	}
	return fmt.Errorf("store the position: %w", err)
}

func (r *reader) writePosition(acked position) error {
	if r.marked {
		return r.write(r.work, r.conn, acked, r.t.self.Mark(r.id.String(), r.memory))
	}
	q := r.t.offsets.AckMessageQuery(r.tables.topic,
		watermillsql.Row{Offset: acked.offset, ExtraData: map[string]any{"transaction_id": acked.transaction}}, r.group)
	_, err := r.conn.Exec(r.work, q.Query, q.Args...)
	return err
}

// wait waits until there is something to do.
func (r *reader) wait() error {
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
	err := r.waitNotified(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	r.interrupt = nil
	return err
}

// changed is called by the window, which holds its mu.
func (r *reader) changed() {
	if r.interrupt != nil && (r.wantsAck || r.wantsRoom && r.window.hasRoom()) {
		r.interrupt()
		r.interrupt = nil
	}
}
