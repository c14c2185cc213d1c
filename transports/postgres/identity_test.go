package postgres_test

import (
	"crypto/rand"
	"database/sql"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/postgres"
)

// mustDrop drops the tables of a topic, as a restore does first, and keeps what they had.
func mustDrop(t *testing.T, db *sql.DB, topic string) {
	t.Helper()
	for _, table := range []string{"troupe_" + topic + "_messages", "troupe_" + topic + "_offsets", "troupe_identity"} {
		MustExec(t, db, `CREATE TABLE IF NOT EXISTS saved_`+table+` AS TABLE `+table)
		MustExec(t, db, `DROP TABLE `+table)
	}
}

// TestRestoredFromADump puts the tables back to an earlier state under running processes. They notice, make and change nothing more,
// and say so; a process that starts then has another identity to tell.
func TestRestoredFromADump(t *testing.T) {
	t.Parallel()
	at := servers.Postgres(t)
	db := MustOpen(t, at)
	tr := MustNew(t, postgres.Config{URL: at, Poll: 20 * time.Millisecond})
	in := MustSubscribe(t.Context(), t, tr, "order")
	MustPublish(t, tr, "order", numbered(0, 2)...)
	MustReadNumbered(t, in, 0, 2)
	was := tr.Identity(t.Context())
	if again := MustNew(t, postgres.Config{URL: at, Group: "others"}).Identity(t.Context()); was == "" || again != was {
		t.Errorf("two processes say that the database is %q and %q", was, again)
	}

	mustDrop(t, db, "order")
	MustEnd(t, in)
	refuses := func() {
		t.Helper()
		_, err := tr.Subscribe(t.Context(), "order")
		for _, err := range []error{err, tr.Publish("order", message.NewMessage("1", nil)), tr.Publish("other", message.NewMessage("1", nil))} {
			if err == nil || !strings.Contains(err.Error(), "restored from a dump") || !strings.Contains(err.Error(), "restart every deployable") {
				t.Errorf("what the process says: %v", err)
			}
		}
	}
	refuses()
	if n := MustAsk[int](t, db, `SELECT count(*) FROM pg_class WHERE relname LIKE 'troupe%' AND relkind = 'r'`); n > 0 {
		t.Errorf("the process has made %d tables before the restore does", n)
	}
	MustExec(t, db, postgres.Schema("troupe", "order"))
	MustExec(t, db, `UPDATE troupe_identity SET id = saved.id FROM saved_troupe_identity saved`)
	refuses()

	restarted := MustNew(t, postgres.Config{URL: at})
	if is := restarted.Identity(t.Context()); is == "" || is == was {
		t.Errorf("the database is %q, before the restore it was %q", is, was)
	}
	in = MustSubscribe(t.Context(), t, restarted, "order")
	MustPublish(t, restarted, "order", numbered(7, 1)...)
	MustReadNumbered(t, in, 7, 1)
}

// TestTwoSchemas has roles with different search paths meet, or be told, unless the URL names the schema.
func TestTwoSchemas(t *testing.T) {
	t.Parallel()
	at := servers.Postgres(t)
	db, role := MustOpen(t, at), "troupe_test_"+strings.ToLower(rand.Text())
	MustExec(t, db, `CREATE ROLE `+role+` LOGIN`)
	MustExec(t, db, `CREATE SCHEMA AUTHORIZATION `+role)
	MustExec(t, db, `ALTER ROLE `+role+` SET search_path = `+role)
	t.Cleanup(func() {
		MustExec(t, db, `DROP OWNED BY `+role)
		MustExec(t, db, `DROP ROLE `+role)
	})
	MustPublish(t, MustNew(t, postgres.Config{URL: at}), "order", numbered(0, 1)...)
	own, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	own.User = url.User(role)
	tr := MustNew(t, postgres.Config{URL: own.String()})
	_, err = tr.Subscribe(t.Context(), "order")
	for _, err := range []error{err, tr.Publish("order", message.NewMessage("1", nil))} {
		if err == nil || !strings.Contains(err.Error(), "search_path=public to join") || !strings.Contains(err.Error(), "search_path="+role) {
			t.Errorf("a role that would not meet the other: %v", err)
		}
	}
	MustExec(t, db, `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO `+role)
	MustExec(t, db, `GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO `+role)
	q := own.Query()
	q.Set("search_path", "public")
	own.RawQuery = q.Encode()
	MustReadNumbered(t, MustSubscribe(t.Context(), t, MustNew(t, postgres.Config{URL: own.String()}), "order"), 0, 1)
	q.Set("search_path", role)
	own.RawQuery = q.Encode()
	apart := MustNew(t, postgres.Config{URL: own.String()})
	MustPublish(t, apart, "order", numbered(5, 1)...)
	MustReadNumbered(t, MustSubscribe(t.Context(), t, apart, "order"), 5, 1)
}
