package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/postgres"
)

// TestSecondReaderWaits has two processes of one group: the second one is told who reads until the first one ends, and then gets all
// that was not acknowledged, at once.
func TestSecondReaderWaits(t *testing.T) {
	t.Parallel()
	url := servers.Postgres(t)
	first, second := MustNew(t, postgres.Config{URL: url, Poll: never}), MustNew(t, postgres.Config{URL: url, Poll: never})
	MustPublish(t, first, "order", numbered(0, 10)...)
	in := MustSubscribe(t.Context(), t, first, "order")
	MustReadNumbered(t, in, 0, 4)
	MustNext(t, in)
	MustNext(t, in).Ack() // behind one that is not acknowledged
	_, err := second.Subscribe(t.Context(), "order")
	for _, part := range []string{"another process reads for group readers", "troupe readers", "stop one of them"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the second one is told %v, want it to say %s", err, part)
		}
	}
	MustPublish(t, first, "order", numbered(10, 10)...)
	var ended atomic.Int64
	go func() {
		<-time.After(2 * time.Second) // by itself it now looks seldom
		MustClose(t, first)
		ended.Store(time.Now().UnixNano())
	}()
	waiting := MustSubscribeSoon(t.Context(), t, second, "order")
	MustReadNumbered(t, waiting, 4, 16)
	if took := time.Since(time.Unix(0, ended.Load())); took > 3*time.Second {
		t.Errorf("the second one noticed after %v", took)
	}
	MustEnd(t, in)
}

// TestAcknowledgedAndClosed closes right after the last acknowledgement. All of them count, and the channel has nothing left that
// comes again elsewhere.
func TestAcknowledgedAndClosed(t *testing.T) {
	t.Parallel()
	url := servers.Postgres(t)
	tr := MustNew(t, postgres.Config{URL: url})
	MustPublish(t, tr, "order", numbered(0, 6000)...)
	in := MustSubscribe(t.Context(), t, tr, "order")
	var held []*message.Message
	for range 5000 {
		held = append(held, MustNext(t, in))
	}
	for _, msg := range held {
		msg.Ack()
	}
	MustClose(t, tr)
	if msg, ok := <-in; ok {
		t.Errorf("message %s is left in the channel", msg.UUID)
	}
	again := MustNew(t, postgres.Config{URL: url})
	MustReadNumbered(t, MustSubscribe(t.Context(), t, again, "order"), 5000, 1000)
}

// TestEveryAcknowledgementCounts ends subscriptions at the very moment of an acknowledgement.
func TestEveryAcknowledgementCounts(t *testing.T) {
	t.Parallel()
	const rounds = 50
	tr := MustNew(t, postgres.Config{URL: servers.Postgres(t)})
	MustPublish(t, tr, "order", numbered(0, rounds)...)
	for i := range rounds {
		ctx, cancel := context.WithCancel(t.Context())
		in := MustSubscribe(ctx, t, tr, "order")
		MustReadNumbered(t, in, i, 1)
		cancel()
		MustEnd(t, in)
	}
}

// TestWaitingEnds closes one that waits, and ends the context of another.
func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	url := servers.Postgres(t)
	first, second := MustNew(t, postgres.Config{URL: url, Poll: never}), MustNew(t, postgres.Config{URL: url, Poll: never})
	MustSubscribe(t.Context(), t, first, "order")
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := second.Subscribe(ctx, "order"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a context that ends: %v", err)
	}
	time.AfterFunc(100*time.Millisecond, func() { MustClose(t, second) })
	if _, err := second.Subscribe(t.Context(), "order"); !errors.Is(err, postgres.ErrClosed) {
		t.Errorf("closed meanwhile: %v", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("they ended after %v", took)
	}
}

// TestLostConnection has the server end the reader's session. Another process goes on, and so does the first.
func TestLostConnection(t *testing.T) {
	t.Parallel()
	url := servers.Postgres(t)
	db := MustOpen(t, url)
	var log lines
	first := MustNew(t, postgres.Config{URL: url, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	MustPublish(t, first, "order", numbered(0, 10)...)
	in := MustSubscribe(t.Context(), t, first, "order")
	MustReadNumbered(t, in, 0, 3)
	eventually(t, "the position is kept", func() bool { return MustAsk[int](t, db, `SELECT offset_acked FROM troupe_order_offsets`) == 3 })
	pid := MustAsk[int](t, db, `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	if !MustAsk[bool](t, db, `SELECT pg_terminate_backend($1)`, pid) {
		t.Fatal("the session is not ended")
	}
	MustEnd(t, in)
	eventually(t, "the log says why", func() bool { return log.has("stopped reading", "order", "57P01") })
	other := MustNew(t, postgres.Config{URL: url})
	MustReadNumbered(t, MustSubscribe(t.Context(), t, other, "order"), 3, 7)
	MustClose(t, other)
	MustSubscribe(t.Context(), t, first, "order")
}

// TestPositionIsStoredSeldom counts how often the position is written while messages are acknowledged one by one.
func TestPositionIsStoredSeldom(t *testing.T) {
	t.Parallel()
	url := servers.Postgres(t)
	tr, db := MustNew(t, postgres.Config{URL: url}), MustOpen(t, url)
	MustPublish(t, tr, "order", numbered(0, 2000)...)
	began := time.Now()
	in := MustSubscribe(t.Context(), t, tr, "order")
	for range 2000 {
		MustNext(t, in).Ack()
		<-time.After(200 * time.Microsecond)
	}
	MustClose(t, tr)
	most := int(time.Since(began)/(250*time.Millisecond)) + 4 // it is made, signed, marked, and kept at the end, too
	// The row has a version for every time that it was written; nothing removes them so soon.
	eventually(t, "the position is kept", func() bool { return MustAsk[int](t, db, `SELECT offset_acked FROM troupe_order_offsets`) == 2000 })
	eventually(t, "the server has counted", func() bool {
		return MustAsk[int](t, db, `SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'troupe_order_offsets'`) > 0
	})
	if n := MustAsk[int](t, db, `SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'troupe_order_offsets'`); n > most {
		t.Errorf("the position was written %d times, want at most %d", n, most)
	}
}

// TestPositionCannotBeStored has the table refuse. Reading goes on for a moment, and stops.
func TestPositionCannotBeStored(t *testing.T) {
	t.Parallel()
	url := servers.Postgres(t)
	var log lines
	tr := MustNew(t, postgres.Config{URL: url, Timeout: 500 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	MustPublish(t, MustNew(t, postgres.Config{URL: url}), "order", numbered(0, 3)...) // which makes the tables, and may take longer
	in := MustSubscribe(t.Context(), t, tr, "order")
	MustExec(t, MustOpen(t, url), `ALTER TABLE troupe_order_offsets ADD CHECK (offset_acked = 0)`)
	MustReadNumbered(t, in, 0, 2)
	MustNext(t, in)
	nothing(t, in)
	MustEnd(t, in)
	if !log.has("stopped reading", "store the position") {
		t.Error("the log does not say why")
	}
}

// TestWindow does not acknowledge: delivery goes on for long, but not without end, and takes up again.
func TestWindow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ size, sent, least, most int }{
		"of messages": {0, 15_000, 10_000, 10_500},
		"of bytes":    {1 << 20, 200, 60, 80},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := MustNew(t, postgres.Config{URL: servers.Postgres(t), Poll: never, Timeout: time.Minute})
			msgs := numbered(0, c.sent)
			for _, msg := range msgs {
				msg.Payload = make([]byte, c.size)
			}
			MustPublish(t, tr, "order", msgs...)
			in := MustSubscribe(t.Context(), t, tr, "order")
			var held []*message.Message
			for len(held) < c.least {
				held = append(held, MustNext(t, in))
			}
			for more := true; more; {
				select {
				case msg := <-in:
					held = append(held, msg)
				case <-time.After(300 * time.Millisecond):
					more = false
				}
			}
			if len(held) > c.most {
				t.Errorf("%d messages came without an acknowledgement", len(held))
			}
			for _, msg := range held {
				msg.Ack()
			}
			MustReadNumbered(t, in, len(held), c.sent-len(held))
		})
	}
}

// TestIdleReaderIsIdle watches what an idle reader asks of the server, and has it wake at once.
func TestIdleReaderIsIdle(t *testing.T) {
	t.Parallel()
	url := servers.Postgres(t)
	tr := MustNew(t, postgres.Config{URL: url, Group: "idle", Poll: never})
	in := MustSubscribe(t.Context(), t, tr, "order")
	MustPublish(t, tr, "order", numbered(0, 1)...)
	MustReadNumbered(t, in, 0, 1)
	name := MustAsk[string](t, MustOpen(t, url), `SELECT current_database()`)
	stats := MustOpen(t, servers.PostgresURL(t)) // in another database, so as not to count itself
	commits := func() int {
		return MustAsk[int](t, stats, `SELECT xact_commit FROM pg_stat_database WHERE datname = $1`, name)
	}
	asked := func() time.Time {
		return MustAsk[time.Time](t, stats, `SELECT max(state_change) FROM pg_stat_activity WHERE datname = $1 AND application_name = 'troupe idle'`, name)
	}
	<-time.After(time.Second) // the position is kept
	last, before := asked(), commits()
	<-time.After(3 * time.Second)
	if now := asked(); !now.Equal(last) {
		t.Errorf("an idle reader asked something at %v, after %v", now, last)
	}
	// The server counts with some delay: what went before may be among it.
	if n := commits() - before; n > 30 {
		t.Errorf("there were %d commits in 3 s without work", n)
	}
	began := time.Now()
	MustPublish(t, tr, "order", numbered(1, 1)...)
	MustReadNumbered(t, in, 1, 1)
	t.Logf("it woke after %v", time.Since(began))
}
