package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/postgres"
)

// short is a retention that is over by itself.
const short = 10 * time.Millisecond

func MustPrune(tb testing.TB, tr *postgres.Transport, topic string) {
	tb.Helper()
	if err := tr.Prune(topic); err != nil {
		tb.Fatal(err)
	}
}

// MustReadTrouble reads and acknowledges the message that tells what was deleted, and returns its id.
func MustReadTrouble(tb testing.TB, in <-chan *message.Message, text string) string {
	tb.Helper()
	msg := MustNext(tb, in)
	if trouble := msg.Metadata[wire.MetaTrouble]; !strings.Contains(trouble, text) || msg.UUID != msg.Metadata[wire.MetaPosition] {
		tb.Fatalf("message %s came from %s with the trouble %q, want one that says %s", msg.UUID, msg.Metadata[wire.MetaPosition], trouble, text)
	}
	if _, err := wire.Decode(msg); err == nil {
		tb.Error("the message is taken for an event")
	}
	msg.Ack()
	return msg.UUID
}

// TestWhatIsForObserversGoesByAge has no observer, and no reader of a module's topic either. The latter may come yet.
func TestWhatIsForObserversGoesByAge(t *testing.T) {
	t.Parallel()
	url := servers.OwnPostgres(t).URL // others' transactions would keep messages from being final
	db := MustOpen(t, url)
	tr := MustNew(t, postgres.Config{URL: url, Retention: time.Hour})
	MustPublish(t, tr, wire.RecordsTopic, numbered(0, 2500)...)
	MustPublish(t, tr, "order", numbered(0, 10)...)
	writer := MustBegin(t, MustOpen(t, url))
	MustExec(t, writer, `SELECT pg_current_xact_id()`)
	MustPublish(t, tr, wire.RecordsTopic, numbered(2500, 1)...) // what the writer still adds is before this
	for _, topic := range []string{wire.RecordsTopic, "order"} {
		MustExec(t, db, `UPDATE troupe_`+topic+`_messages SET created_at = created_at - interval '3 hours'`)
	}
	left := func(topic string, want int) {
		t.Helper()
		MustPrune(t, tr, topic)
		if n := MustAsk[int](t, db, `SELECT count(*) FROM troupe_`+topic+`_messages`); n != want {
			t.Errorf("%s has %d messages, want %d", topic, n, want)
		}
	}
	left(wire.RecordsTopic, 1)
	left("order", 10)
	in := MustSubscribe(t.Context(), t, tr, wire.RecordsTopic)
	MustReadTrouble(t, in, "up to offset 2500")
	MustExec(t, writer, "ROLLBACK")
	MustNext(t, in) // it is there, and not acknowledged
	left(wire.RecordsTopic, 1)
}

// TestPositionIsDeleted has one group go for good, and another one read and not acknowledge.
func TestPositionIsDeleted(t *testing.T) {
	t.Parallel()
	url := servers.Postgres(t)
	db := MustOpen(t, url)
	var log lines
	tr := MustNew(t, postgres.Config{URL: url, Retention: -1})
	MustPublish(t, tr, "order", numbered(0, 10)...)
	gone := MustNew(t, postgres.Config{URL: url, Group: "gone", Retention: -1})
	MustReadNumbered(t, MustSubscribe(t.Context(), t, gone, "order"), 0, 3)
	MustClose(t, gone)
	in := MustSubscribe(t.Context(), t, tr, "order")
	pruner := MustNew(t, postgres.Config{URL: url, Group: "pruner", Retention: short, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	prune := func() {
		t.Helper()
		for range 2 {
			<-time.After(5 * short)
			MustPrune(t, pruner, "order")
		}
	}
	has := func(want string) {
		t.Helper()
		got := MustAsk[string](t, db, `SELECT string_agg(consumer_group, ' ' ORDER BY 1) FROM troupe_order_offsets WHERE consumer_group <> ''`)
		if got != want {
			t.Errorf("there are positions of %s, want %s", got, want)
		}
	}
	prune()
	has("gone readers") // the latter is the last one, but somebody is there
	MustReadNumbered(t, in, 0, 5)
	eventually(t, "the position is kept", func() bool {
		return MustAsk[int](t, db, `SELECT offset_acked FROM troupe_order_offsets WHERE consumer_group = 'readers'`) == 5
	})
	eventually(t, "what all others have read is gone", func() bool {
		prune()
		return MustAsk[int](t, db, countMessages) <= 5
	})
	has("readers")
	if n := MustAsk[int](t, db, countMessages); n != 5 {
		t.Errorf("%d messages are left, want 5", n)
	}
	if !log.has("position and the messages kept for it are deleted", "group=gone") {
		t.Error("the log does not say whose position was deleted")
	}
	MustClose(t, pruner)
	again := MustSubscribe(t.Context(), t, MustNew(t, postgres.Config{URL: url, Group: "gone"}), "order")
	MustReadTrouble(t, again, "up to offset 5 ")
	MustReadNumbered(t, again, 5, 5)
}

// TestAbsenceHasToLast has a group come back between two looks, and go again: it is not gone for long.
func TestAbsenceHasToLast(t *testing.T) {
	t.Parallel()
	url := servers.Postgres(t)
	db := MustOpen(t, url)
	tr := MustNew(t, postgres.Config{URL: url, Retention: time.Minute})
	read := func(first int) {
		t.Helper()
		reader := MustNew(t, postgres.Config{URL: url, Retention: -1})
		MustReadNumbered(t, MustSubscribe(t.Context(), t, reader, "order"), first, 1)
		MustClose(t, reader)
		MustPrune(t, tr, "order")
		if n := MustAsk[int](t, db, `SELECT count(*) FROM troupe_order_offsets WHERE consumer_group = 'readers'`); n != 1 {
			t.Error("its position is deleted")
		}
	}
	MustPublish(t, tr, "order", numbered(0, 10)...)
	MustExec(t, db, age, 10)
	read(0)
	read(1)
}

// TestPositionUnderAnotherName has a deployable read under a new name, as it does when it comes to consume more. The old position stays
// until the new one has passed it; others' positions stay, and so does one that is being read.
func TestPositionUnderAnotherName(t *testing.T) {
	t.Parallel()
	url := servers.Postgres(t)
	db := MustOpen(t, url)
	var log lines
	tr := MustNew(t, postgres.Config{URL: url, Group: "shop", Retention: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	MustPublish(t, tr, "order", numbered(0, 10)...)
	subscribe := func(tr *postgres.Transport, position string) (<-chan *message.Message, func()) {
		ctx, cancel := context.WithCancel(t.Context())
		in := MustSubscribe(wire.WithPosition(ctx, position), t, tr, "order")
		return in, func() { cancel(); MustEnd(t, in) }
	}
	has := func(want string) {
		t.Helper()
		MustPrune(t, tr, "order")
		if got := MustAsk[string](t, db, `SELECT string_agg(consumer_group, ' ' ORDER BY consumer_group COLLATE "C") FROM troupe_order_offsets`); got != want {
			t.Errorf("there are positions %s, want %s", got, want)
		}
	}
	in, end := subscribe(tr, "old")
	MustReadNumbered(t, in, 0, 5)
	end()
	other := MustNew(t, postgres.Config{URL: url, Group: "shop.eu-1"})
	_, end = subscribe(other, "old")
	end()
	other = MustNew(t, postgres.Config{URL: url, Group: "shop.eu"}) // as if it were a position of shop
	MustSubscribe(t.Context(), t, other, "order")
	MustClose(t, other)
	_, end = subscribe(tr, "busy")
	defer end()
	in, end = subscribe(tr, "new")
	MustReadNumbered(t, in, 0, 4)
	end()
	in, end = subscribe(tr, "new")
	has("shop.busy shop.eu shop.eu-1.old shop.new shop.old")
	MustReadNumbered(t, in, 4, 1)
	end()
	in, end = subscribe(tr, "new")
	defer end()
	has("shop.busy shop.eu shop.eu-1.old shop.new")
	if !log.has("deleted a position of this deployable", "position=shop.old", "present=shop.new") {
		t.Error("the log does not say which position was deleted")
	}
	MustReadNumbered(t, in, 5, 5)
}

// TestDeletedBeforeTheFirstRead has groups come after messages were deleted. Each is told, until it acknowledges that, and after a
// restored dump, too.
func TestDeletedBeforeTheFirstRead(t *testing.T) {
	t.Parallel()
	url := servers.Postgres(t)
	db := MustOpen(t, url)
	tr := MustNew(t, postgres.Config{URL: url, Retention: time.Hour})
	MustPublish(t, tr, "order", numbered(0, 10)...)
	in := MustSubscribe(t.Context(), t, tr, "order")
	MustReadNumbered(t, in, 0, 10)
	eventually(t, "the position is kept", func() bool { return MustAsk[int](t, db, `SELECT offset_acked FROM troupe_order_offsets`) == 10 })
	MustExec(t, db, age, 7)
	MustPrune(t, tr, "order")
	ids := map[string]bool{}
	subscribe := func(group string) (<-chan *message.Message, func()) {
		late := MustNew(t, postgres.Config{URL: url, Group: group})
		return MustSubscribe(t.Context(), t, late, "order"), func() { MustClose(t, late) }
	}
	for round := range 3 {
		in, end := subscribe("slow")
		if msg := MustNext(t, in); msg.Metadata[wire.MetaTrouble] == "" { // not acknowledged in any round
			t.Errorf("in round %d message %s came first, want the one that tells what was deleted", round, msg.UUID)
		}
		end()
		for _, name := range []string{"a", "b"} {
			group := fmt.Sprint(name, round)
			in, end := subscribe(group)
			id := MustNext(t, in).UUID // not acknowledged
			end()
			in, end = subscribe(group)
			if again := MustReadTrouble(t, in, "before group "+group); again != id || ids[id] {
				t.Errorf("it has the id %s now, and had %s before; others have %v", again, id, ids)
			}
			ids[id] = true
			MustReadNumbered(t, in, 7, 1)
			end()
			in, end = subscribe(group)
			MustReadNumbered(t, in, 8, 2)
			end()
		}
		MustExec(t, db, `UPDATE troupe_order_messages SET transaction_id = (transaction_id::text::bigint + 1000000000)::text::xid8`)
		MustExec(t, db, `UPDATE troupe_order_offsets SET last_processed_transaction_id = (last_processed_transaction_id::text::bigint + 1000000000)::text::xid8`)
	}
}
