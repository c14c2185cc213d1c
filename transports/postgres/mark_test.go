package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/bus/wire/wiretest"
	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/postgres"
)

// MustRemember subscribes to the topic "order" for a journal until stop is called, which waits for the end.
func MustRemember(t *testing.T, tr *postgres.Transport, m *wiretest.Memory) (in <-chan *message.Message, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(wire.WithMemory(t.Context(), m))
	in = MustSubscribeSoon(ctx, t, tr, "order")
	return in, func() {
		t.Helper()
		cancel()
		MustEnd(t, in)
	}
}

// wantNext takes messages, and checks and acknowledges them: an id, or a part of what is wrong.
func wantNext(t *testing.T, in <-chan *message.Message, want ...string) {
	t.Helper()
	for _, w := range want {
		m := MustNext(t, in)
		trouble := m.Metadata[wire.MetaTrouble]
		if trouble == "" && m.UUID != w || trouble != "" && (len(w) < 5 || !strings.Contains(trouble, w)) {
			t.Fatalf("got %s %q, want %q", m.UUID, trouble, w)
		}
		m.Ack()
	}
}

// MustRememberNext reads what is wanted for a journal with a process of its own.
func MustRememberNext(t *testing.T, config postgres.Config, m *wiretest.Memory, want ...string) {
	t.Helper()
	tr := MustNew(t, config)
	in, stop := MustRemember(t, tr, m)
	wantNext(t, in, want...)
	stop()
	MustClose(t, tr)
}

// tenDays makes all messages old enough to be deleted.
func tenDays(t *testing.T, db *sql.DB) {
	t.Helper()
	MustExec(t, db, `UPDATE troupe_order_messages SET created_at = created_at - interval '10 days'`)
}

// TestPositionThatIsSet: whoever sets the position by SQL has it so, and it is told what is not read.
func TestPositionThatIsSet(t *testing.T) {
	t.Parallel()
	at := postgres.Config{URL: servers.Postgres(t)}
	db, m := MustOpen(t, at.URL), wiretest.NewMemory("j", 1)
	MustPublish(t, MustNew(t, at), "order", numbered(1, 9)...)
	MustRememberNext(t, at, m, "1", "2")
	MustExec(t, db, `UPDATE troupe_order_offsets SET offset_acked = 5`)
	MustRememberNext(t, at, m, "from offset 2 to 5", "6")
	MustExec(t, db, `UPDATE troupe_order_offsets SET offset_acked = 1`)
	MustRememberNext(t, at, m, "2")
	MustExec(t, db, `UPDATE troupe_order_offsets SET offset_acked = 0, last_processed_transaction_id = '0'`)
	MustRememberNext(t, at, m, "1")
}

// TestPositionThatIsDeleted: where the position is deleted, the journal knows it, and what was deleted meanwhile is told, but
// not where that was before the first look.
func TestPositionThatIsDeleted(t *testing.T) {
	t.Parallel()
	at := postgres.Config{URL: servers.Postgres(t)}
	db, m := MustOpen(t, at.URL), wiretest.NewMemory("j", 1)
	tr := MustNew(t, at)
	MustPublish(t, tr, "order", numbered(1, 9)...)
	MustRememberNext(t, at, m, "1", "2")
	tenDays(t, db)
	MustExec(t, db, `UPDATE troupe_order_offsets SET consumer_group = 'ahead', offset_acked = 4`)
	if err := tr.Prune("order"); err != nil {
		t.Fatal(err)
	}
	in, stop := MustRemember(t, MustNew(t, at), m)
	gone := MustNext(t, in).Metadata
	if !strings.Contains(gone[wire.MetaTrouble], "up to offset 4 are gone") || gone[wire.MetaFirst] != "" {
		t.Errorf("it tells %v", gone)
	}
	stop()
	MustRememberNext(t, at, m, "up to offset 4 are gone", "5")
	in, stop = MustRemember(t, MustNew(t, postgres.Config{URL: at.URL, Group: "late"}), wiretest.NewMemory("k", 1))
	defer stop()
	if first := MustNext(t, in); first.Metadata[wire.MetaFirst] == "" {
		t.Errorf("a first look tells %v", first.Metadata)
	}
}

// TestPositionBeforeAnythingIsNoted: a journal that has looked, and found nothing, has a position, too. What is deleted then is missed.
func TestPositionBeforeAnythingIsNoted(t *testing.T) {
	t.Parallel()
	at := postgres.Config{URL: servers.Postgres(t)}
	db, m := MustOpen(t, at.URL), wiretest.NewMemory("j", 1)
	MustRememberNext(t, at, m)
	tr := MustNew(t, at)
	MustPublish(t, tr, "order", numbered(1, 4)...)
	tenDays(t, db)
	MustExec(t, db, `UPDATE troupe_order_offsets SET consumer_group = 'ahead', offset_acked = 3, last_processed_transaction_id =
		(SELECT max(transaction_id::text::bigint)::text::xid8 FROM troupe_order_messages)`)
	if err := tr.Prune("order"); err != nil {
		t.Fatal(err)
	}
	in, stop := MustRemember(t, MustNew(t, at), m)
	defer stop()
	gone := MustNext(t, in).Metadata
	if !strings.Contains(gone[wire.MetaTrouble], "up to offset 3 are gone") || gone[wire.MetaFirst] != "" {
		t.Errorf("it tells %v", gone)
	}
}

// TestRestoredJournalAndPruning has messages deleted, and to be deleted, that a restored journal is to read again.
func TestRestoredJournalAndPruning(t *testing.T) {
	t.Parallel()
	at := postgres.Config{URL: servers.Postgres(t)}
	db, m := MustOpen(t, at.URL), wiretest.NewMemory("j", 15)
	tr := MustNew(t, at)
	prune := func() {
		t.Helper()
		tenDays(t, db)
		if err := tr.Prune("order"); err != nil {
			t.Fatal(err)
		}
	}
	MustPublish(t, tr, "order", numbered(1, 9)...)
	MustRememberNext(t, at, m, "1", "2")
	backup := m.Copy()
	MustRememberNext(t, at, m, "3", "4")
	prune()
	m.Grow(20)
	MustRememberNext(t, at, m, "5", "6")
	const restored = "this journal is older than the position of group readers, offset 6: it ends at seq 15, and had 20"
	in, stop := MustRemember(t, MustNew(t, at), backup)
	reported := MustNext(t, in)
	stop()
	if at := MustAsk[int](t, db, `SELECT offset_acked FROM troupe_order_offsets WHERE consumer_group = 'readers'`); at != 2 {
		t.Error("the position is not put back, and messages that are to be read may be deleted")
	}
	prune()
	in, stop = MustRemember(t, MustNew(t, at), backup)
	defer stop()
	again := MustNext(t, in)
	if again.Metadata[wire.MetaTrouble] != reported.Metadata[wire.MetaTrouble] || again.UUID != reported.UUID {
		t.Errorf("it is told as %v, and again as %v", reported.Metadata, again.Metadata)
	}
	again.Ack()
	wantNext(t, in, "up to offset 4 are gone", "5", "6", "7")
	if trouble := reported.Metadata[wire.MetaTrouble]; !strings.Contains(trouble, restored) {
		t.Errorf("it is told %q, want %q", trouble, restored)
	}
}

// TestInterleavedTransactions has the offsets of two transactions alternate. What a journal notes of the second is no
// position in the first.
func TestInterleavedTransactions(t *testing.T) {
	t.Parallel()
	at := postgres.Config{URL: servers.Postgres(t)}
	db, m := MustOpen(t, at.URL), wiretest.NewMemory("j", 1)
	MustPublish(t, MustNew(t, at), "order") // makes the tables
	for _, row := range []struct{ transaction, offset string }{{"10", "49"}, {"10", "51"}, {"11", "48"}, {"11", "50"}} {
		MustExec(t, db, `INSERT INTO troupe_order_messages (transaction_id, "offset", uuid, payload, metadata)
			VALUES ($1::text::xid8, $2, $3, '', '{}')`,
			row.transaction, row.offset, row.transaction+"/"+row.offset)
	}
	MustRememberNext(t, at, m, "10/49", "10/51", "11/48")
	MustExec(t, db, `DELETE FROM troupe_order_offsets`)
	MustRememberNext(t, at, m, "11/50")
}

// TestRestoredDumpAndJournal numbers the messages again, as those of a restored dump. The position moves along, and
// nothing is told. What a journal noted before means nothing afterwards.
func TestRestoredDumpAndJournal(t *testing.T) {
	t.Parallel()
	at := postgres.Config{URL: servers.Postgres(t)}
	db, m := MustOpen(t, at.URL), wiretest.NewMemory("j", 15)
	MustPublish(t, MustNew(t, at), "order", numbered(1, 9)...)
	MustRememberNext(t, at, m, "1", "2")
	dump := func() {
		t.Helper()
		for table, column := range map[string]string{"messages": "transaction_id", "offsets": "last_processed_transaction_id"} {
			MustExec(t, db, `UPDATE troupe_order_`+table+`
				SET `+column+` = (`+column+`::text::bigint + 1000000000)::text::xid8 WHERE `+column+` > '2'`)
		}
	}
	before := m.Copy()
	m.Grow(20)
	MustRememberNext(t, at, m, "3")
	dump()
	MustRememberNext(t, at, m, "4")
	MustRememberNext(t, postgres.Config{URL: at.URL, Group: "late"}, wiretest.NewMemory("k", 1), "1")
	MustRememberNext(t, at, before, "restored from a backup, or a copy. Reading again from 0", "1", "2", "3", "4", "5")
	between := m.Copy()
	m.Grow(25)
	MustRememberNext(t, at, m, "6")
	MustRememberNext(t, at, between, "restored from a backup, or a copy. Reading again from 5", "5")
	MustPublish(t, MustNew(t, at), "order", numbered(10, 1)...)
	dump()
	MustRememberNext(t, at, m, "6")
	MustExec(t, db, `DELETE FROM troupe_order_offsets WHERE consumer_group = 'readers'`)
	MustRememberNext(t, at, m, "7", "8", "9")
	MustExec(t, db, `DELETE FROM troupe_order_offsets WHERE consumer_group = 'readers'`)
	MustRememberNext(t, at, between, "the topic was made anew", "1")
}

// TestMessagesMadeAnew drops the table of the messages alone, which nobody's identity shows.
func TestMessagesMadeAnew(t *testing.T) {
	t.Parallel()
	at := postgres.Config{URL: servers.Postgres(t)}
	m := wiretest.NewMemory("j", 15)
	MustPublish(t, MustNew(t, at), "order", numbered(1, 9)...)
	MustRememberNext(t, at, m, "1", "2")
	MustExec(t, MustOpen(t, at.URL), `DROP TABLE troupe_order_messages`)
	MustPublish(t, MustNew(t, at), "order", numbered(21, 3)...)
	in, stop := MustRemember(t, MustNew(t, at), m)
	reported := MustNext(t, in).Metadata[wire.MetaTrouble]
	if !strings.Contains(reported, "the topic was made anew since group readers read up to offset 2") {
		t.Errorf("it is told %q", reported)
	}
	stop()
	MustRememberNext(t, at, m, "the topic was made anew", "21", "22")
	MustRememberNext(t, at, m, "23")
}

// TestTablesOfAnEarlierProgram have no marks, and get them; where they are somebody else's, it is said how.
func TestTablesOfAnEarlierProgram(t *testing.T) {
	t.Parallel()
	at := postgres.Config{URL: servers.Postgres(t)}
	db, m := MustOpen(t, at.URL), wiretest.NewMemory("j", 1)
	MustPublish(t, MustNew(t, at), "order", numbered(1, 9)...)
	others := MustNew(t, postgres.Config{URL: at.URL, Group: "others"})
	MustReadNumbered(t, MustSubscribe(t.Context(), t, others, "order"), 1, 1)
	MustExec(t, db, `ALTER TABLE troupe_order_offsets DROP COLUMN mark`)
	bare := postgres.Config{URL: at.URL, NoCreate: true}
	tr := MustNew(t, bare)
	in, stop := MustRemember(t, tr, m)
	wantNext(t, in, "1", "2")
	stop()
	MustRememberNext(t, bare, wiretest.NewMemory("another", 1), "3") // nobody knows
	for _, want := range []string{
		`ALTER TABLE "troupe_order_offsets" ADD COLUMN IF NOT EXISTS mark TEXT`, `CREATE TABLE IF NOT EXISTS "troupe_claims"`,
	} {
		if got := tr.Features().Warnings()["order"]; !strings.Contains(got, want) {
			t.Errorf("it warns of %q, want %s", got, want)
		}
	}
	MustExec(t, db, postgres.Schema("troupe", "order"))
	in, stop = MustRemember(t, tr, m)
	wantNext(t, in, "4")
	stop()
	if got := tr.Features().Warnings(); len(got) > 0 {
		t.Errorf("when that is done, it warns of %q", got)
	}
	MustExec(t, db, `ALTER TABLE troupe_order_offsets DROP COLUMN mark`)
	MustRememberNext(t, at, m, "5")
	MustRememberNext(t, at, wiretest.NewMemory("another", 1), "is that of another journal, j", "1")
}

// TestClaimIsNoGroup: that a process runs for a journal holds no messages.
func TestClaimIsNoGroup(t *testing.T) {
	t.Parallel()
	at := postgres.Config{URL: servers.Postgres(t)}
	db, tr := MustOpen(t, at.URL), MustNew(t, at)
	MustPublish(t, tr, "order", numbered(1, 3)...)
	if err := tr.Features().Claim(t.Context(), "order", wiretest.NewMemory("j", 1)); err != nil {
		t.Fatal(err)
	}
	others := MustNew(t, postgres.Config{URL: at.URL, Group: "others"})
	MustReadNumbered(t, MustSubscribe(t.Context(), t, others, "order"), 1, 3)
	tenDays(t, db)
	for began := time.Now(); MustAsk[int](t, db, `SELECT count(*) FROM troupe_order_messages`) > 0; {
		if err := tr.Prune("order"); err != nil || time.Since(began) > patience {
			t.Fatalf("messages are held: %v", err)
		}
	}
}

// TestTwinsWithoutClaims: where the table of claims is missing, the position says that another process has gone on.
func TestTwinsWithoutClaims(t *testing.T) {
	t.Parallel()
	at := postgres.Config{URL: servers.Postgres(t)}
	m := wiretest.NewMemory("j", 1)
	MustPublish(t, MustNew(t, at), "order", numbered(1, 9)...)
	at.NoCreate = true
	older := MustNew(t, at)
	in, stop := MustRemember(t, older, m)
	wantNext(t, in, "1")
	stop()
	MustRememberNext(t, at, m.Copy(), "2")
	_, err := older.Subscribe(wire.WithMemory(t.Context(), m), "order")
	for _, err := range []error{err, older.Publish("order", numbered(10, 1)...)} {
		if !errors.Is(err, wire.ErrReplaced) {
			t.Errorf("the older one goes on: %v", err)
		}
	}
	MustRememberNext(t, at, m.Copy(), "3") // it is later than both
}
