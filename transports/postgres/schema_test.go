package postgres_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/postgres"
)

// TestCreateAtOnce has many processes use topics for the first time, all at once.
func TestCreateAtOnce(t *testing.T) {
	t.Parallel()
	at := servers.Postgres(t)
	for _, topic := range []string{"a", "b", "c"} {
		start := make(chan struct{})
		var running sync.WaitGroup
		for i := range 8 {
			tr := MustNew(t, postgres.Config{URL: at})
			reader := MustNew(t, postgres.Config{URL: at, Group: fmt.Sprint(i)})
			running.Go(func() {
				<-start
				if err := tr.Publish(topic, message.NewMessage("1", nil)); err != nil {
					t.Error(err)
				}
			})
			running.Go(func() {
				<-start
				if _, err := reader.Subscribe(t.Context(), topic); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		running.Wait()
	}
}

// TestNoCreate makes the tables with the statements that the error names.
func TestNoCreate(t *testing.T) {
	t.Parallel()
	at := servers.Postgres(t)
	tr := MustNew(t, postgres.Config{URL: at, NoCreate: true, Prefix: "mine"})
	_, err := tr.Subscribe(t.Context(), "order")
	for _, err := range []error{err, tr.Publish("order", message.NewMessage("1", nil))} {
		if err == nil || !strings.Contains(err.Error(), `CREATE TABLE IF NOT EXISTS "mine_order_messages"`) {
			t.Errorf("the error does not say what to do: %v", err)
		}
	}
	MustExec(t, MustOpen(t, at), postgres.Schema("mine", "order"))
	MustPublish(t, tr, "order", numbered(0, 1)...)
	MustReadNumbered(t, MustSubscribe(t.Context(), t, tr, "order"), 0, 1)
}

// TestRoles has a role that may not create tables, and then may use them.
func TestRoles(t *testing.T) {
	t.Parallel()
	at := servers.Postgres(t)
	db, role := MustOpen(t, at), "troupe_test_"+strings.ToLower(rand.Text())
	MustExec(t, db, `CREATE ROLE `+role+` LOGIN`)
	t.Cleanup(func() {
		MustExec(t, db, `DROP OWNED BY `+role)
		MustExec(t, db, `DROP ROLE `+role)
	})
	own, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	own.User = url.User(role)
	tr := MustNew(t, postgres.Config{URL: own.String()})
	refuses := func(what string, texts ...string) {
		t.Helper()
		_, err := tr.Subscribe(t.Context(), "order")
		for _, err := range []error{err, tr.Publish("order", message.NewMessage("1", nil))} {
			for _, text := range texts {
				if err == nil || !strings.Contains(err.Error(), text) {
					t.Errorf("%s: %v, want it to say %s", what, err, text)
				}
			}
		}
	}
	MustExec(t, db, `REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
	refuses("it may not create", "GRANT it CREATE", "CREATE TABLE")
	MustExec(t, db, postgres.Schema("troupe", "order"))
	refuses("it may do nothing", "grant the role SELECT")
	MustExec(t, db, `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO `+role)
	MustExec(t, db, `GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO `+role)
	MustPublish(t, tr, "order", numbered(0, 1)...)
	MustReadNumbered(t, MustSubscribe(t.Context(), t, tr, "order"), 0, 1)
	if err := tr.Prune("order"); err != nil {
		t.Error(err)
	}
	nobody := MustNew(t, postgres.Config{URL: strings.Replace(at, "troupe_test_", "troupe_none_", 1)})
	if _, err := nobody.Subscribe(t.Context(), "order"); err == nil || !strings.Contains(err.Error(), "create the database") {
		t.Errorf("without its database: %v", err)
	}
}

// TestOthersTable finds a table that watermill-sql made with its default of JSON payloads.
func TestOthersTable(t *testing.T) {
	t.Parallel()
	at := servers.Postgres(t)
	MustExec(t, MustOpen(t, at), `CREATE TABLE troupe_order_messages ("offset" BIGSERIAL, payload JSON, transaction_id xid8)`)
	err := MustNew(t, postgres.Config{URL: at}).Publish("order", message.NewMessage("1", nil))
	if err == nil || !strings.Contains(err.Error(), "another Prefix") {
		t.Errorf("it says %v", err)
	}
}

// TestLongNames has topics that differ only where PostgreSQL cuts names off.
func TestLongNames(t *testing.T) {
	t.Parallel()
	at := servers.Postgres(t)
	tr := MustNew(t, postgres.Config{URL: at, Poll: never})
	long := strings.Repeat("long-", 30)
	MustPublish(t, tr, long+"a", numbered(0, 1)...)
	MustPublish(t, tr, long+"b", numbered(1, 1)...)
	MustReadNumbered(t, MustSubscribe(t.Context(), t, tr, long+"a"), 0, 1)
	in := MustSubscribe(t.Context(), t, tr, long+"b")
	MustReadNumbered(t, in, 1, 1)
	MustPublish(t, tr, long+"b", numbered(2, 1)...) // it is told of that, too
	MustReadNumbered(t, in, 2, 1)
}

// TestSchemas keeps systems apart that have a schema each, with the same names.
func TestSchemas(t *testing.T) {
	t.Parallel()
	at := servers.Postgres(t)
	MustExec(t, MustOpen(t, at), `CREATE SCHEMA one; CREATE SCHEMA two`)
	for i, schema := range []string{"one", "two"} {
		tr := MustNew(t, postgres.Config{URL: at + "&search_path=" + schema})
		in := MustSubscribe(t.Context(), t, tr, "order")
		MustPublish(t, tr, "order", numbered(i, 1)...)
		MustReadNumbered(t, in, i, 1)
	}
}

// TestRestoredDump gives the messages the numbers of a server that has given out many more, as a dump does, and again.
func TestRestoredDump(t *testing.T) {
	t.Parallel()
	at := servers.Postgres(t)
	db := MustOpen(t, at)
	var log lines
	logger := slog.New(slog.NewTextHandler(&log, nil))
	tr := MustNew(t, postgres.Config{URL: at})
	in := MustSubscribe(t.Context(), t, tr, "order")
	for i := range 10 {
		MustPublish(t, tr, "order", numbered(5*i, 5)...)
	}
	MustReadNumbered(t, in, 0, 23)
	MustClose(t, tr)
	for round := range 3 {
		MustExec(t, db, `UPDATE troupe_order_messages SET transaction_id = (transaction_id::text::bigint + 1000000000)::text::xid8 WHERE transaction_id > '2'`)
		MustExec(t, db, `UPDATE troupe_order_offsets SET last_processed_transaction_id = (last_processed_transaction_id::text::bigint + 1000000000)::text::xid8
			WHERE last_processed_transaction_id > '2'`)
		first := MustNew(t, postgres.Config{URL: at, Logger: logger})
		MustPublish(t, first, "order", numbered(50+round, 1)...)
		if !log.has("restored dump", "order") {
			t.Error("the log does not say what was done")
		}
		ctx, cancel := context.WithCancel(t.Context())
		all := MustSubscribe(ctx, t, MustNew(t, postgres.Config{URL: at, Group: "later"}), "order")
		if round == 2 { // earlier, it would acknowledge
			MustReadNumbered(t, all, 0, 53)
		}
		cancel()
		MustEnd(t, all)
		in := MustSubscribe(t.Context(), t, first, "order")
		MustReadNumbered(t, in, 23+round*7, 7)
		MustClose(t, first)
	}
}

// TestDurable has a database whose commits do not wait for the disk by default.
func TestDurable(t *testing.T) {
	t.Parallel()
	at := servers.Postgres(t)
	db := MustOpen(t, at)
	for setting, want := range map[string]string{"off": "on", "remote_apply": "remote_apply"} {
		MustExec(t, db, `ALTER DATABASE `+MustAsk[string](t, db, `SELECT current_database()`)+` SET synchronous_commit = `+setting)
		got, err := MustNew(t, postgres.Config{URL: at}).Setting(t.Context(), "synchronous_commit")
		if err != nil || got != want {
			t.Errorf("publishing has synchronous_commit = %s, %v, want %s", got, err, want)
		}
	}
}
