package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"path/filepath"

	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/transports/sqlite"
)

// Somebody else's transaction on the file: its own rows and the messages are one commit, and the subscribers wake up
// after it.
func TestPublishInForeignTransaction(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j := MustOpen(t, path, sqlite.Config{})
	db, err := sql.Open("sqlite3", path+"?_txlock=immediate&_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE own (n INTEGER)"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	messages, err := j.Subscriber("g").Subscribe(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	inTx := func(adapter sqlite.SchemaAdapter, id string, end func(*sql.Tx) error) {
		t.Helper()
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		p, err := watermillsql.NewPublisher(tx, watermillsql.PublisherConfig{SchemaAdapter: adapter}, nil)
		if err != nil {
			t.Fatal(err)
		}
		m := message.NewMessage(id, []byte("payload of "+id))
		m.Metadata.Set("who", id)
		_, insert := tx.ExecContext(ctx, "INSERT INTO own (n) VALUES (1)")
		if err := errors.Join(insert, p.Publish("t", m), end(tx)); err != nil {
			t.Fatal(err)
		}
	}
	inTx(j.SchemaAdapter(), "rolled back", (*sql.Tx).Rollback)
	inTx(j.SchemaAdapter(), "a", (*sql.Tx).Commit)
	inTx(sqlite.SchemaAdapter{}, "b", (*sql.Tx).Commit)
	if err := j.Publisher().Publish("t", message.NewMessage("c", nil)); err != nil { // right behind them, in the journal's own way
		t.Fatal(err)
	}
	for _, want := range []string{"a", "b", "c"} {
		select {
		case m := <-messages:
			if m.UUID != want || want != "c" && (string(m.Payload) != "payload of "+want || m.Metadata.Get("who") != want) {
				t.Errorf("got %s %q %v, want %s", m.UUID, m.Payload, m.Metadata, want)
			}
			m.Ack()
		case <-ctx.Done():
			t.Fatalf("%s has not come", want)
		}
	}
	if err := j.View(ctx, func(tx *sql.Tx) error {
		var n int
		err := tx.QueryRowContext(ctx, "SELECT count(*) FROM own").Scan(&n)
		if n != 2 {
			t.Errorf("%d own rows, want 2", n)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// A foreign transaction that holds the lock makes others wait, not fail; nothing is lost.
func TestForeignTransactionHoldsTheLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j := MustOpen(t, path, sqlite.Config{BusyTimeout: 10 * time.Second})
	db, err := sql.Open("sqlite3", path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	published := make(chan error, 1)
	go func() { published <- j.Publisher().Publish("t", message.NewMessage("1", nil)) }()
	select {
	case err := <-published:
		t.Fatalf("published under a foreign lock: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := errors.Join(tx.Rollback(), <-published); err != nil {
		t.Fatal(err)
	}
}

// The UUID is the identity: trying a publish again is safe, and one message may go to several topics.
func TestPublishAgain(t *testing.T) {
	t.Parallel()
	j := MustOpen(t, filepath.Join(t.TempDir(), "j.db"), sqlite.Config{})
	for range 3 {
		for _, topic := range []string{"t", "u"} {
			if err := j.Publisher().Publish(topic, message.NewMessage("same", []byte("x")), message.NewMessage("", []byte("new each time"))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.View(t.Context(), func(tx *sql.Tx) error {
		var got string
		err := tx.QueryRowContext(t.Context(), "SELECT group_concat(type || n) FROM (SELECT type, count(*) AS n FROM events GROUP BY type ORDER BY type)").Scan(&got)
		if want := "t4,u4"; got != want {
			t.Errorf("events: %s, want %s", got, want)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// A group's place survives a restart, without a message twice or left out.
func TestGroupGoesOnAfterRestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	const each = 50
	next := 0
	for round := range 3 {
		j, err := sqlite.Open(t.Context(), path, sqlite.Config{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range each {
			if err := j.Publisher().Publish("t", message.NewMessage(fmt.Sprint(round*each+i), nil)); err != nil {
				t.Fatal(err)
			}
		}
		s := j.Subscriber("g")
		messages, err := s.Subscribe(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		for range each/2 + round { // some are left for the next round
			m := <-messages
			if m.UUID != fmt.Sprint(next) {
				t.Fatalf("round %d: got %s, want %d", round, m.UUID, next)
			}
			next++
			m.Ack()
		}
		<-messages // handed out, never acknowledged
		if err := errors.Join(s.Close(), j.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
