package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/transports/postgres"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// MustNew makes a transport, in the group "readers" if none is given, that is closed with the test. It logs nothing unless told to.
func MustNew(tb testing.TB, config postgres.Config) *postgres.Transport {
	tb.Helper()
	if config.Group == "" {
		config.Group = "readers"
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	tr, err := postgres.New(config.Patient())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { MustClose(tb, tr) })
	return tr
}

func MustClose(tb testing.TB, c io.Closer) {
	tb.Helper()
	if err := c.Close(); err != nil {
		tb.Error(err)
	}
}

// MustOpen opens the database, past the transport.
func MustOpen(tb testing.TB, url string) *sql.DB {
	tb.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { MustClose(tb, db) })
	return db
}

// MustExec runs a statement and returns how many rows it changed.
func MustExec(tb testing.TB, db interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}, query string, args ...any) int64 {
	tb.Helper()
	result, err := db.ExecContext(context.Background(), query, args...)
	if err != nil {
		tb.Fatalf("%v: %s", err, query)
	}
	n, err := result.RowsAffected()
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// MustAsk is the answer to a query of one value.
func MustAsk[T any](tb testing.TB, db *sql.DB, query string, args ...any) T {
	tb.Helper()
	var answer T
	if err := db.QueryRowContext(context.Background(), query, args...).Scan(&answer); err != nil {
		tb.Fatalf("%v: %s", err, query)
	}
	return answer
}

func MustPublish(tb testing.TB, tr *postgres.Transport, topic string, msgs ...*message.Message) {
	tb.Helper()
	if err := tr.Publish(topic, msgs...); err != nil {
		tb.Fatal(err)
	}
}

func MustSubscribe(ctx context.Context, tb testing.TB, tr *postgres.Transport, topic string) <-chan *message.Message {
	tb.Helper()
	in, err := tr.Subscribe(ctx, topic)
	if err != nil {
		tb.Fatal(err)
	}
	return in
}

// MustSubscribeSoon subscribes again and again until nothing stands in the way.
func MustSubscribeSoon(ctx context.Context, tb testing.TB, tr *postgres.Transport, topic string) <-chan *message.Message {
	tb.Helper()
	for began := time.Now(); ; {
		in, err := tr.Subscribe(ctx, topic)
		if err == nil {
			return in
		}
		if ctx.Err() != nil || time.Since(began) > patience {
			tb.Fatal(err)
		}
	}
}

// MustNext is the next message, not yet acknowledged.
func MustNext(tb testing.TB, in <-chan *message.Message) *message.Message {
	tb.Helper()
	select {
	case msg, ok := <-in:
		if !ok {
			tb.Fatal("the channel is closed")
		}
		return msg
	case <-time.After(patience):
		tb.Fatal("nothing came")
	}
	return nil
}

// MustEnd waits for the channel to close; what still comes is left.
func MustEnd(tb testing.TB, in <-chan *message.Message) {
	tb.Helper()
	deadline := time.After(patience)
	for {
		select {
		case _, ok := <-in:
			if !ok {
				return
			}
		case <-deadline:
			tb.Fatal("the channel is still open")
		}
	}
}

// numbered are n messages with the ids first, first+1 and so on.
func numbered(first, n int) []*message.Message {
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = message.NewMessage(fmt.Sprint(first+i), fmt.Appendf(nil, "%d", first+i))
	}
	return msgs
}

// MustReadNumbered reads and acknowledges the messages of numbered, in their order.
func MustReadNumbered(tb testing.TB, in <-chan *message.Message, first, n int) {
	tb.Helper()
	for i := first; i < first+n; i++ {
		msg := MustNext(tb, in)
		if msg.UUID != fmt.Sprint(i) {
			tb.Fatalf("message %s came, want %d", msg.UUID, i)
		}
		msg.Ack()
	}
}
