package postgres_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/postgres"
)

// TestHeldUp has a transaction in another database hold up messages for long. The link says which one as long as it is open, and then
// all is well again; what was taken in does not come again.
func TestHeldUp(t *testing.T) {
	t.Parallel()
	server := servers.OwnPostgres(t) // it holds up the messages of all others, too
	MustExec(t, MustOpen(t, server.URL), `COPY (SELECT 'max_prepared_transactions = 1') TO PROGRAM 'cat >> postgresql.conf'`)
	server.Stop("fast")
	server.Start()
	MustExec(t, MustOpen(t, server.URL), `CREATE DATABASE elsewhere`)
	tr := MustNew(t, postgres.Config{URL: server.URL}.WithHeldUp(50*time.Millisecond))
	var mu sync.Mutex
	var taken []string
	ingest := wire.NewIngest(wire.IngestConfig{Topic: "order", Subscriber: tr, Logger: slog.New(slog.DiscardHandler),
		Take: func(_ context.Context, events []*journal.Event) error {
			mu.Lock()
			defer mu.Unlock()
			for _, e := range events {
				taken = append(taken, e.ID)
			}
			return nil
		}})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = ingest.Run(ctx) }) // it ends with ctx only, which is no error
	defer running.Wait()
	defer cancel()
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(taken) }
	MustPublish(t, tr, "order", events(3)...)
	eventually(t, "the first ones are taken in", func() bool { return count() == 3 })
	other := strings.Replace(server.URL, "/postgres?", "/elsewhere?", 1)
	for i, c := range []struct{ holds, ends, says string }{
		{"", "ROLLBACK", `application "holder" in database elsewhere`},
		{"CREATE TABLE x (); PREPARE TRANSACTION 'half'", "ROLLBACK PREPARED 'half'", `prepared transaction "half" in database elsewhere`},
	} {
		holder := MustBegin(t, MustOpen(t, other+"&application_name=holder"))
		MustExec(t, holder, `SELECT pg_current_xact_id()`)
		MustExec(t, holder, c.holds)
		MustPublish(t, tr, "order", events(1)...)
		eventually(t, "the link says what holds it up", func() bool {
			err := ingest.Link().Err
			return err != nil && strings.Contains(err.Error(), c.says)
		})
		began := time.Now()
		MustExec(t, holder, c.ends)
		eventually(t, "it goes on", func() bool { return ingest.Link().Err == nil && count() == 4+i })
		t.Logf("it went on after %v", time.Since(began))
	}
}

// TestHeldUpKeepsWhatIsOut has messages delivered that are not acknowledged while others are held up: they do not come again.
func TestHeldUpKeepsWhatIsOut(t *testing.T) {
	t.Parallel()
	url := servers.OwnPostgres(t).URL
	tr := MustNew(t, postgres.Config{URL: url}.WithHeldUp(time.Millisecond))
	MustPublish(t, tr, "order", numbered(0, 1)...)
	in := MustSubscribe(t.Context(), t, tr, "order")
	out := MustNext(t, in)
	holder := MustBegin(t, MustOpen(t, url))
	MustExec(t, holder, `SELECT pg_current_xact_id()`)
	MustPublish(t, tr, "order", numbered(1, 1)...)
	nothing(t, in)
	out.Ack()
	MustEnd(t, in)
	MustExec(t, holder, "ROLLBACK")
	MustReadNumbered(t, MustSubscribe(t.Context(), t, tr, "order"), 1, 1)
}

// TestBusyIsNotHeldUp has transactions overlap all the time, each of them short.
func TestBusyIsNotHeldUp(t *testing.T) {
	t.Parallel()
	url := servers.OwnPostgres(t).URL
	tr := MustNew(t, postgres.Config{URL: url}.WithHeldUp(time.Second))
	in := MustSubscribe(t.Context(), t, tr, "order")
	db := MustOpen(t, url)
	last := MustBegin(t, db)
	MustExec(t, last, `SELECT pg_current_xact_id()`)
	for i := range 20 {
		next := MustBegin(t, db)
		MustExec(t, next, `SELECT pg_current_xact_id()`)
		MustPublish(t, tr, "order", numbered(i, 1)...) // there is always one that waits
		<-time.After(100 * time.Millisecond)
		MustExec(t, last, "COMMIT")
		last = next
		if i > 0 {
			MustReadNumbered(t, in, i-1, 1)
		}
	}
	MustExec(t, last, "COMMIT")
	MustReadNumbered(t, in, 19, 1)
}
