package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/postgres"
)

const (
	countMessages = `SELECT count(*) FROM troupe_order_messages`
	age           = `UPDATE troupe_order_messages SET created_at = created_at - interval '3 hours' WHERE uuid::int < $1`
)

// TestRetention ages messages, and has two groups acknowledge some of them.
func TestRetention(t *testing.T) {
	t.Parallel()
	url := servers.Postgres(t)
	db := MustOpen(t, url)
	var log lines
	tr := MustNew(t, postgres.Config{URL: url, Retention: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	left := func(when string, want int) {
		t.Helper()
		if err := tr.Prune("order"); err != nil {
			t.Fatal(err)
		}
		if n := MustAsk[int](t, db, countMessages); n != want {
			t.Errorf("%s there are %d messages, want %d", when, n, want)
		}
	}
	read := func(group string, first, n int) {
		t.Helper()
		reader := MustNew(t, postgres.Config{URL: url, Group: group})
		in := MustSubscribe(t.Context(), t, reader, "order")
		if group == "b" && first == 3000 {
			MustReadTrouble(t, in, "up to offset 3000")
		}
		MustReadNumbered(t, in, first, n)
		MustClose(t, reader)
	}
	MustPublish(t, tr, "order", numbered(0, 4000)...)
	MustExec(t, db, age, 3000)
	left("while nobody has read anything", 4000)
	read("a", 0, 3500)
	left("with one group, the young ones and those that it has not read", 1000)
	MustPublish(t, tr, "order", numbered(4000, 10)...)
	read("b", 3000, 100) // what is left for one that comes later
	MustExec(t, db, age, 4005)
	left("with a group that is behind", 910)
	if !log.has("consumer group is behind", "group=b", "troupe_order_offsets") {
		t.Error("the log does not say who holds messages")
	}
	read("b", 3100, 910)
	left("with the other group behind", 510)
	MustExec(t, db, `DELETE FROM troupe_order_offsets WHERE consumer_group = 'a'`)
	left("with that group gone", 5)
	ever := MustNew(t, postgres.Config{URL: url, Retention: -1})
	MustPublish(t, ever, "order", numbered(4010, 1)...)
	left("in the end", 6)
}

// TestRetentionByItself waits for messages to go by themselves, with several processes at it.
func TestRetentionByItself(t *testing.T) {
	t.Parallel()
	url := servers.Postgres(t)
	db := MustOpen(t, url)
	var groups []<-chan *message.Message
	var tr *postgres.Transport
	for i := range 3 {
		tr = MustNew(t, postgres.Config{URL: url, Retention: 100 * time.Millisecond, Group: fmt.Sprint(i)})
		groups = append(groups, MustSubscribe(t.Context(), t, tr, "order"))
	}
	MustPublish(t, tr, "order", numbered(0, 300)...)
	for i, in := range groups {
		MustReadNumbered(t, in, 0, 100*(i+1))
	}
	eventually(t, "what all have read is gone", func() bool { return MustAsk[int](t, db, countMessages) <= 200 })
	<-time.After(200 * time.Millisecond) // for what must not go
	if first := MustAsk[int](t, db, `SELECT min(uuid::int) FROM troupe_order_messages`); first != 100 {
		t.Errorf("the oldest message is %d, want 100: the first group has not read it", first)
	}
}

// TestFailedPruningIsLoggedOnce takes the table away from the deletion of old messages, for several tries.
func TestFailedPruningIsLoggedOnce(t *testing.T) {
	t.Parallel()
	url := servers.Postgres(t)
	db := MustOpen(t, url)
	var log lines
	tr := MustNew(t, postgres.Config{URL: url, Retention: 100 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	MustPublish(t, tr, "order", numbered(0, 1)...)
	const failed = "deleting old messages failed, retrying"
	MustExec(t, db, `ALTER TABLE troupe_order_messages RENAME TO away`)
	eventually(t, "the failure is in the log", func() bool { return log.has(failed, "tries=1 ", "prune order") })
	<-time.After(200 * time.Millisecond) // for more tries
	MustExec(t, db, `ALTER TABLE away RENAME TO troupe_order_messages`)
	eventually(t, "the end is in the log", func() bool { return log.has("deleting old messages works again") })
	MustClose(t, tr)
	if text := log.buf.String(); strings.Count(text, failed) != 1 {
		t.Errorf("the log has more than one line about failures:\n%s", text)
	}
}

// TestNoGapWhilePruning has groups come for the first time while messages are deleted: each gets all from the oldest that is left,
// and is told where that is.
func TestNoGapWhilePruning(t *testing.T) {
	t.Parallel()
	const total = 20_000
	url := servers.Postgres(t)
	db := MustOpen(t, url)
	tr := MustNew(t, postgres.Config{URL: url, Retention: time.Hour})
	MustPublish(t, tr, "order", numbered(0, total)...)
	in := MustSubscribe(t.Context(), t, tr, "order")
	MustReadNumbered(t, in, 0, total)
	MustExec(t, db, age, total)
	MustPublish(t, tr, "order", numbered(total, 1)...)
	MustReadNumbered(t, in, total, 1)
	eventually(t, "the position is kept", func() bool { return MustAsk[int](t, db, `SELECT offset_acked FROM troupe_order_offsets`) > total })

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running sync.WaitGroup
	for i := range 4 {
		running.Go(func() {
			if err := MustNew(t, postgres.Config{URL: url, Retention: time.Hour}).Prune("order"); err != nil {
				t.Error(err)
			}
		})
		newcomer := MustNew(t, postgres.Config{URL: url, Group: fmt.Sprint("newcomer ", i)})
		running.Go(func() {
			in, err := newcomer.Subscribe(ctx, "order")
			if err != nil {
				t.Error(err)
				return
			}
			for want := -1; want <= total; want++ {
				msg := next(in)
				if msg == nil {
					t.Errorf("nothing comes, want %d", want)
					return
				}
				msg.Ack()
				got, _ := strconv.Atoi(msg.UUID) // numbered are numbers
				if want == -1 && msg.Metadata[wire.MetaTrouble] != "" {
					if _, err := fmt.Sscanf(msg.Metadata[wire.MetaTrouble], "topic order: the messages up to offset %d are gone", &want); err != nil {
						t.Error(err)
					}
					want-- // offsets begin at 1; the loop goes on to the next one
					continue
				}
				want = max(want, 0)
				if got != want {
					t.Errorf("message %d came, want %d", got, want)
					return
				}
			}
		})
	}
	running.Wait()
}

// next is a message, or nil.
func next(in <-chan *message.Message) *message.Message {
	select {
	case msg := <-in:
		return msg
	case <-time.After(patience):
		return nil
	}
}
