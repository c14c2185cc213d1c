package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/transports/sqlite"
)

// grown has the parameters of a journal with many events. The same values give the same rows.
type grown struct {
	events  int // in flows of five; rounded up to whole groups of 64 flows
	letters int // dead letters of the newest flows' notices
	seed    int
}

// Events are in groups of 64 concurrent flows: the first events of all 64 flows, then the second events, and so on.
const (
	grownFlows = 64
	grownSteps = 5
)

// step has the columns of an event of the journal: n is its seq, g its group, i its step in flow k, and d tells
// whether the flow is one of those, one in eight, whose payment is declined. One flow in four has an id of its own;
// that of the others is the order's.
const grownStep = `
WITH RECURSIVE s(n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM s WHERE n < ?2),
p AS (SELECT n, (n - 1) / 320 * 64 + (n - 1) % 64 AS k, (n - 1) % 320 / 64 AS i FROM s),
q AS (SELECT n, k, i, ((k + ?3) * 2654435761 >> 7) & 7 = 0 AS d, printf('ord-%08d', k) AS ord FROM p)
`

var grownTables = []string{grownStep + `
INSERT INTO events (seq, id, type, source, key, time, correlation_id, causation_id, subscription, hops, data)
SELECT n, printf('0198c2a4-%08x-7000-8000', n),
	CASE i WHEN 0 THEN 'order.placed' WHEN 1 THEN 'inventory.reserved'
		WHEN 2 THEN iif(d, 'payment.declined', 'payment.charged')
		WHEN 3 THEN iif(d, 'inventory.released', 'shipping.dispatched')
		ELSE iif(d, 'order.cancelled', 'order.completed') END,
	CASE i WHEN 0 THEN 'order' WHEN 1 THEN 'inventory' WHEN 2 THEN 'payment'
		WHEN 3 THEN iif(d, 'inventory', 'shipping') ELSE 'order' END,
	ord, 1790000000000000 + n * 250000, iif(k % 4 = 0, printf('checkout-%08d', k), ord),
	iif(i = 0, '', printf('0198c2a4-%08x-7000-8000', CASE WHEN d AND i = 4 THEN n - 128 ELSE n - 64 END)),
	CASE i WHEN 0 THEN '' WHEN 1 THEN 'inventory/reserve-stock' WHEN 2 THEN 'payment/charge'
		WHEN 3 THEN iif(d, 'inventory/release-declined', 'shipping/dispatch')
		ELSE iif(d, 'order/cancel-declined', 'order/complete') END,
	i, CAST(json_object('order_id', ord, 'customer_id', 'c', 'total_cents', 100, 'amount_cents', 100, 'reason', 'r',
		'note', substr('................................................................', 1, 40 + n % 20)) AS BLOB)
FROM q`, grownStep + `
INSERT INTO deliveries (seq, subscription, outcome, attempts, started_at, duration)
SELECT n, s.id, 'done', 1 + (n % 97 = 0), 1790000000000000 + n * 250000 + 900, 150
FROM q CROSS JOIN subscriptions s WHERE s.name IN (
	CASE i WHEN 0 THEN 'inventory/reserve-stock' WHEN 1 THEN 'payment/charge'
		WHEN 2 THEN iif(d, 'inventory/release-declined', 'shipping/dispatch')
		WHEN 3 THEN iif(d, '', 'order/complete')
		ELSE iif(d, 'notification/tell-cancelled', 'notification/tell-completed') END,
	CASE i WHEN 2 THEN iif(d, 'order/cancel-declined', '') WHEN 4 THEN iif(d, '', 'inventory/ship-and-restock') ELSE '' END) ORDER BY n, s.id`,
	grownStep + `INSERT INTO order_orders (id, customer_id, status, total, lines, charges)
SELECT ord, 'c', iif(d, 'cancelled', 'completed'), 100, '[]', '[]' FROM q WHERE i = 0 ORDER BY k`,
	grownStep + `INSERT INTO inventory_reservations (order_id, state) SELECT ord, iif(d, 'released', 'shipped') FROM q WHERE i = 0 ORDER BY k`,
	grownStep + `INSERT INTO payment_payments (order_id, status, charged) SELECT ord, iif(d, 'declined', 'charged'), iif(d, 0, 100) FROM q WHERE i = 0 ORDER BY k`,
	grownStep + `INSERT INTO shipping_parcels (order_id, status, tracking) SELECT ord, 'dispatched', 't' FROM q WHERE i = 0 AND NOT d ORDER BY k`,
	grownStep + `INSERT INTO notification_notices (order_id, customer_id, kind, text)
SELECT ord, 'c', iif(d, 'cancelled', 'completed'), 't' FROM q WHERE i = 0 ORDER BY k`,
}

// MustGrow creates a journal at path and fills it by SQL, not by the bus: 10 million events take minutes, not hours.
func MustGrow(tb testing.TB, path string, g grown) {
	tb.Helper()
	if err := g.fill(tb.Context(), path); err != nil {
		tb.Fatal(err)
	}
}

func (g grown) fill(ctx context.Context, path string) error {
	a := newShop().app()
	a.Commands = append(a.Commands, troupe.Command[doors]{Name: "lay-out", Run: func(context.Context, *troupe.Call[doors]) error { return nil }})
	if ran := runApp(ctx, a, "lay-out", "--journal", path); ran.err != nil {
		return ran.err
	}
	db, err := sql.Open("sqlite3", "file:"+path+"?_journal_mode=WAL&_synchronous=OFF&_cache_size=-200000")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // all rows are committed
	db.SetMaxOpenConns(1)
	const size = grownFlows * grownSteps
	last := (g.events + size - 1) / size * size
	for from := 1; from <= last; from += 1000 * size {
		for _, query := range grownTables {
			if _, err := db.ExecContext(ctx, query, from, min(from+1000*size-1, last), g.seed); err != nil {
				return err
			}
		}
		if _, err := db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
			return err
		}
	}
	for _, query := range []string{
		// counters that the owner of a journal updates
		`INSERT INTO blocks SELECT type, (seq - 1) / 4096, count(*), max(time) FROM events WHERE seq <= (SELECT max(seq) / 4096 * 4096 FROM events) GROUP BY 1, 2`,
		`INSERT INTO keys SELECT DISTINCT key, (seq - 1) / 4096, correlation_id FROM events
		WHERE key <> correlation_id AND seq <= (SELECT max(seq) / 4096 * 4096 FROM events) ORDER BY 1, 2, 3`,
		`INSERT INTO counted (subscription, upto) SELECT id, (SELECT max(seq) / 4096 * 4096 FROM events)
		FROM (SELECT 0 AS id UNION SELECT id FROM subscriptions WHERE kind = 'bus')`,
		`UPDATE counted SET done = n, retries = r FROM (SELECT subscription AS s, count(*) AS n, sum(attempts - 1) AS r FROM deliveries
		WHERE seq <= (SELECT max(seq) / 4096 * 4096 FROM events) GROUP BY subscription) WHERE s = subscription`,
		`UPDATE subscriptions SET cursor = (SELECT max(seq) FROM events)`,
		`CREATE TEMP TABLE dying AS SELECT d.seq, d.subscription FROM deliveries d JOIN subscriptions s ON s.id = d.subscription
		WHERE s.name = 'notification/tell-completed' ORDER BY d.seq DESC LIMIT ` + strconv.Itoa(g.letters),
		`INSERT INTO dead_letters (seq, subscription, error, stack, attempts, first_failed_at, dead_at)
		SELECT seq, subscription, 'the mail server said 4' || seq % 10 || '1 to ' || seq, substr(hex(zeroblob(400)), 1, 700), 8, 1, 2 FROM dying`,
		`INSERT INTO causes (subscription, type, error) SELECT DISTINCT subscription, type, 'the mail server said # to #' FROM dead_letters`,
		`UPDATE dead_letters SET cause = (SELECT id FROM causes c WHERE c.subscription = dead_letters.subscription AND c.type = dead_letters.type)`,
		`UPDATE deliveries SET outcome = 'dead', attempts = 8, error = 'the mail server said 451' WHERE (seq, subscription) IN (SELECT seq, subscription FROM dying)`,
		`DELETE FROM notification_notices WHERE order_id IN (SELECT e.key FROM dying JOIN events e USING (seq))`,
		`INSERT INTO delayed (due_at, event_id, type, version, source, key, correlation_id, causation_id, subscription, hops, data)
		SELECT 1 << 52, 'to-come', 'order.completed', 1, 'order', 'ord-x', 'ord-x', '', '', 0, x'7b7d' FROM dying LIMIT 1`,
		`DROP TABLE dying`,
	} {
		if _, err := db.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
	}
	return nil
}

// TestGrown measures the commands that read, on a journal with TROUPE_GROWN events: make grown. The test creates the
// journal unless TROUPE_GROWN_JOURNAL names an existing one.
func TestGrown(t *testing.T) {
	events, _ := strconv.Atoi(os.Getenv("TROUPE_GROWN"))
	if events == 0 {
		t.Skip("reads a large journal: TROUPE_GROWN says how many events it has; see make grown")
	}
	path := os.Getenv("TROUPE_GROWN_JOURNAL")
	if path == "" {
		path = filepath.Join(t.TempDir(), "grown.db")
	}
	if _, err := os.Stat(path); err != nil {
		letters, _ := strconv.Atoi(os.Getenv("TROUPE_GROWN_LETTERS"))
		started := time.Now()
		MustGrow(t, path, grown{events: events, letters: letters, seed: 1})
		t.Logf("filled %s in %.1f s", path, time.Since(started).Seconds())
	}
	for _, again := range []string{"", " again"} {
		started := time.Now()
		if err := readJournal(t.Context(), path, func(r *sqlite.Reader) error { _, err := r.Stats(t.Context()); return err }); err != nil {
			t.Fatal(err)
		}
		t.Logf("%7.0f ms  the counts of all%s", time.Since(started).Seconds()*1000, again)
	}
	for _, line := range append(grownReads, "dlq list", "dlq list --causes", "dlq list --causes --since 1h", "dlq list --status dropped", "dlq list --type order.placed",
		"dlq list --subscription notification/tell-cancelled", "dlq list --since 1h", "dlq show 1", "dlq retry", "split --list", "verify") {
		measure(t, path, line)
	}
	if os.Getenv("TROUPE_GROWN_JOURNAL") != "" {
		return // later commands change the journal
	}
	measure(t, path, "dlq drop --subscription notification/tell-completed --reason test")
	if err := becomeObserver(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	t.Log("the same events in the journal of an observer:")
	for _, line := range append(grownReads, "verify") {
		measure(t, path, line)
	}
}

// grownReads are the commands that read events.
var grownReads = []string{
	"trace ord-00000017", "trace ord-00000016", "trace 0198c2a4-00000001-7000-8000", "trace nothing", "events", "events --limit 1000",
	"events --key ord-00000017", "events --key ord-00000016", "events --key nothing", "events --flow checkout-00000016", "events --flow nothing",
	"events --type payment.declined", "events --type nothing", "events --since 1h", "events --type order.returned --since 1h",
	"events --key ord-00000017 --type order.placed",
}

// measure runs a command twice, or once if the command is slow or changes the journal.
func measure(t *testing.T, path, line string) {
	t.Helper()
	once := strings.HasPrefix(line, "verify") || strings.HasPrefix(line, "dlq drop")
	for _, again := range []string{"", " again"} {
		var out strings.Builder
		started := time.Now()
		code := grownCommand(&out, append(strings.Fields(line), "--journal", path))
		t.Logf("%7.0f ms  troupe %s%s: exit code %d, %d bytes", time.Since(started).Seconds()*1000, line, again, code, out.Len())
		if once {
			t.Log(out.String()[:min(out.Len(), 2000)])
			return
		}
	}
}

// becomeObserver makes a journal an observer's journal, against the rule that modules must not have run on such a
// journal.
func becomeObserver(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // all rows are committed
	_, err = db.ExecContext(ctx, "INSERT INTO observer (since) VALUES (0)")
	return err
}

func grownCommand(out io.Writer, args []string) int {
	return troupe.Run(context.Background(), newShop().app(), args, out, out)
}
