package move

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/inventory"
)

// tables are what the modules of the tests have: each kind of table that there is.
var tables = map[string]string{
	"order": `
CREATE TABLE order_orders (id TEXT PRIMARY KEY, total INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE order_notes (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL) STRICT;`,
	"payment": `
CREATE TABLE payment_payments (id TEXT PRIMARY KEY, amount INTEGER NOT NULL, doubled INTEGER AS (amount * 2) STORED) STRICT, WITHOUT ROWID;
CREATE TABLE payment_log (id INTEGER PRIMARY KEY AUTOINCREMENT, "at what" REAL, raw BLOB, payment TEXT REFERENCES payment_payments (id)) STRICT;
CREATE TABLE payment_loose (a, b TEXT, at DATETIME, yes BOOLEAN);
CREATE INDEX payment_by_amount ON payment_payments (amount);
CREATE VIEW payment_large AS SELECT id FROM payment_payments WHERE amount > 500;
CREATE TRIGGER payment_logged AFTER INSERT ON payment_payments BEGIN INSERT INTO payment_log ("at what", raw) VALUES (new.amount / 3.0, x'00ff00'); END;`,
	"payment_audit": `CREATE TABLE payment_audit_entries (id TEXT PRIMARY KEY, n INTEGER) STRICT;`, // not of payment
	"shipping":      `CREATE TABLE shipping_parcels (id TEXT PRIMARY KEY, "order" TEXT NOT NULL) STRICT;`,
}

// consumed says what the subscriptions of the tests consume, and which module emits it.
var consumed = map[string]string{
	"order/complete": "shipping.sent", "order/cancel": "payment.declined", "order/count": "order.placed",
	"payment/charge": "order.placed", "payment/settle": "payment.charged", "payment/old": "order.renamed",
	"payment_audit/keep": "payment.charged", "shipping/send": "payment.charged", "shipping/stop": "payment.declined",
	"bus/ingest": "bus.undecoded", "bus/relay": "bus.unsent",
}

var emitters = map[string]string{
	"order.placed": "order", "order.renamed": "order", "payment.charged": "payment", "payment.declined": "payment", "shipping.sent": "shipping",
	"shipping.lost": "shipping", "plain": "", "catalogue.priced": "catalogue", // of another deployable
	"bus.undecoded": "bus", "bus.unsent": "bus",
}

// made is a journal under construction.
type made struct {
	tb testing.TB
	*rand.Rand
	db *sql.DB
}

func (m *made) exec(query string, args ...any) int64 {
	m.tb.Helper()
	res, err := m.db.Exec(query, args...)
	if err != nil {
		m.tb.Fatalf("%v: %s %v", err, query, args)
	}
	id, _ := res.LastInsertId()
	return id
}

func pick[T any](m *made, from []T) T { return from[m.IntN(len(from))] }

// MustMake makes a journal with events and rows in every state, at random.
func MustMake(tb testing.TB, random *rand.Rand) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "shop.db")
	var j *sqlite.Journal
	mustFree(tb, func() (err error) {
		j, err = sqlite.Open(tb.Context(), path, sqlite.Config{Synchronous: "off", Logger: slog.New(slog.DiscardHandler)})
		return err
	})
	for module, text := range tables {
		if err := j.Migrate(tb.Context(), module, fstest.MapFS{"0001.sql": {Data: []byte(text)}}); err != nil {
			tb.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		tb.Fatal(err)
	}
	db, err := sql.Open("sqlite3", dbfile.URI(path)+"?_synchronous=OFF&_txlock=immediate")
	if err != nil {
		tb.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	m := &made{tb: tb, Rand: random, db: db}
	m.exec("BEGIN")
	m.fill()
	m.exec("COMMIT")
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
	mustBeSound(tb, path)
	return path
}

func (m *made) fill() {
	if m.IntN(3) > 0 { // it has a transport
		m.exec("INSERT INTO subscriptions (name, kind, types, except_of, start_seq, cursor) VALUES ('relay', 'group', '[]', 1, 0, 0)")
	}
	if m.IntN(2) == 0 { // and tells what becomes of deliveries
		m.exec("CREATE TRIGGER records_new AFTER INSERT ON deliveries BEGIN INSERT INTO records (seq, subscription) VALUES (new.seq, new.subscription); END")
	}
	m.exec("INSERT INTO subscriptions (name, kind, types, except_of, start_seq, cursor) VALUES ('bus/unknown', 'bus', '[\"plain\"]', 1, 0, 0)")
	m.exec(`INSERT INTO subscriptions (name, kind, types, start_seq, cursor) VALUES ('group:"x":plain', 'group', '["plain"]', 0, 0)`)
	events := m.events(m.IntN(150))
	for _, name := range sortedKeys(consumed) {
		if m.IntN(6) == 0 {
			continue // not yet wired
		}
		m.subscribe(name, events)
	}
	m.exec("UPDATE subscriptions SET cursor = ? WHERE name = 'relay'", m.IntN(len(events)+1))
	m.exec("DELETE FROM records WHERE id % 3 = 0")
	for i := range m.IntN(8) {
		source := pick(m, []string{"order", "payment", "shipping"})
		m.exec(`INSERT INTO delayed (due_at, event_id, type, version, source, key, correlation_id, causation_id, subscription, hops, data, metadata, name)
VALUES (?, ?, ?, 1, ?, 'k', 'f', '', '', 0, x'7b7d', ?, ?)`, 1<<52+i, m.id("d", i), source+".later", source, fmt.Sprintf(`{"ce_user":"%d"}`, i), fmt.Sprint("reminder-", i))
		m.exec("INSERT INTO requests (module, key, digest, flow, answer, until) VALUES (?, ?, x'01', 'f', x'6e', ?)", source, m.id("r", i), 1<<52+i)
		m.exec("INSERT INTO schedules (name, spec, last_at, next_at) VALUES (?, '1h', ?, 9)", fmt.Sprintf("%s/every-%d", source, i), m.IntN(1000))
		m.exec(`INSERT INTO cancelled (event_id, due_at, cancelled_at, type, source, key, name, correlation_id, causation_id, subscription)
VALUES (?, 1, 2, 't', ?, 'k', 'reminder', 'f', '', '')`, m.id("c", i), source)
	}
	for i := range m.IntN(20) {
		m.exec("INSERT INTO payment_payments (id, amount) VALUES (?, ?)", m.id("p", i), m.IntN(1000))
		m.exec("INSERT INTO payment_loose (rowid, a, b, at, yes) VALUES (?, ?, ?, ?, ?)", 10*i+m.IntN(9), pick(m, []any{nil, 1, 2.5, "x\x00y", []byte{}, []byte("z")}), "b", "2026-01-02", 1)
		m.exec("INSERT INTO order_orders VALUES (?, ?)", m.id("o", i), i)
		m.exec("INSERT INTO payment_audit_entries VALUES (?, ?)", m.id("a", i), i)
	}
	m.exec("DELETE FROM payment_log WHERE id > ?", m.IntN(20)) // its counter is ahead
}

func (m *made) id(kind string, n int) string { return fmt.Sprintf("%s-%d-%d", kind, n, m.IntN(1<<30)) }

// event is one of a journal under construction.
type event struct {
	seq       int64
	kind, key string
}

func (m *made) events(n int) (all []event) {
	for i := range n {
		e := event{kind: pick(m, sortedKeys(emitters)), key: pick(m, []string{"", "a", "b", "c", "d"})}
		var metadata any
		if m.IntN(4) == 0 {
			metadata = `{"tenant":"x"}`
		}
		data := []byte(fmt.Sprintf(`{"n":%d}`, i))
		if m.IntN(4) == 0 { // the type has a codec
			metadata, data = `{"content-type":"application/protobuf","ce_encryptionkey":"c-1"}`, append(data, 0xff, 0, byte(i))
		}
		id := m.id("e", i)
		e.seq = m.exec(`INSERT INTO events (id, type, version, source, key, time, correlation_id, metadata, data) VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?)`,
			id, e.kind, emitters[e.kind], e.key, 1_000_000+i, id, metadata, data)
		if m.IntN(10) == 0 { // a gap, as pruning leaves it
			m.exec("DELETE FROM events WHERE seq = ?", e.seq)
			continue
		}
		all = append(all, e)
	}
	return all
}

// subscribe makes a subscription, and has it handle events up to somewhere, in the order of each key.
func (m *made) subscribe(name string, events []event) {
	start, since := int64(0), int64(0)
	if m.IntN(4) == 0 && len(events) > 0 && !strings.HasPrefix(name, "bus/") {
		start = pick(m, events).seq
		if m.IntN(2) == 0 {
			since = 1 + column[int64](m, "SELECT time FROM events WHERE seq = ?", start)[0]
		}
	}
	var retired any
	if m.IntN(8) == 0 {
		retired = 5
	}
	sub := m.exec("INSERT INTO subscriptions (name, kind, types, start_seq, cursor, retired_at, since) VALUES (?, 'bus', ?, ?, ?, ?, ?)",
		name, dbfile.List([]string{consumed[name]}), start, start, retired, since)
	gained := int64(0) // the first event since the gain of its type
	if m.IntN(4) == 0 && len(events) > 0 && !strings.HasPrefix(name, "bus/") {
		gained = pick(m, events).seq
		m.exec("INSERT INTO type_starts SELECT ?, ?, time FROM events WHERE seq = ?", sub, consumed[name], gained)
		m.exec("INSERT INTO deliveries SELECT seq, ?, 'skipped', 0, 5, 0, NULL FROM events WHERE type = ? AND seq > ? AND seq < ?",
			sub, consumed[name], start, gained)
	}
	held, gap, cursor := map[string]bool{}, false, start
	reach := m.IntN(len(events) + 1)
	for i, e := range events {
		if e.seq <= start {
			continue
		}
		if e.kind == consumed[name] && e.seq >= gained {
			if i > reach || m.IntN(20) == 0 && !gap {
				gap = true // waiting; those behind it may be handled
			}
			if i > reach || gap && m.IntN(2) == 0 {
				gap = true
				if e.key != "" {
					held[e.key] = true // the order of its key
				}
				continue
			}
			m.deliver(sub, e, held)
		}
		if !gap && m.IntN(3) > 0 {
			cursor = e.seq
		}
	}
	m.exec("UPDATE subscriptions SET cursor = ? WHERE id = ?", cursor, sub)
}

// deliver answers an event, in one of the ways that are possible.
func (m *made) deliver(sub int64, e event, held map[string]bool) {
	outcome := pick(m, []string{"done", "done", "done", "skipped", "dropped", "retrying", "dead", "parked", "replaying", "replayed", "given up"})
	put := func(outcome string) {
		m.exec("INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?)", e.seq, sub, outcome, 1+m.IntN(3), m.IntN(1<<40), m.IntN(1000), nil)
	}
	pend := func(state string) {
		m.exec("INSERT INTO pending VALUES (?, ?, ?, ?, 1, ?, ?)", sub, e.key, e.seq, state, m.IntN(1<<40), m.IntN(1<<40))
	}
	letter := func(status string) int64 {
		return m.exec("INSERT INTO dead_letters (seq, subscription, error, attempts, first_failed_at, dead_at, status) VALUES (?, ?, 'boom', 3, 1, ?, ?)",
			e.seq, sub, m.IntN(1<<40), status)
	}
	act := func(id int64, act string) {
		m.exec("INSERT INTO acts (at, actor, act, dead_letter, reason) VALUES (?, 'ada', ?, ?, 'why not')", m.IntN(1<<40), act, id)
	}
	switch {
	case held[e.key]:
		put("blocked")
		pend("blocked")
	case outcome == "retrying":
		held[e.key] = e.key != ""
		put("retrying")
		pend("retrying")
	case outcome == "parked" && e.key != "":
		held[e.key] = true
		put("dead")
		pend("parked")
		letter("dead")
	case outcome == "dead" || outcome == "parked":
		put("dead")
		letter("dead")
	case outcome == "replaying":
		held[e.key] = e.key != ""
		put("retrying")
		pend("retrying")
		act(letter("replaying"), "replay")
	case outcome == "replayed":
		put("done")
		id := letter("replayed")
		act(id, "replay")
		act(id, "replay")
	case outcome == "given up":
		put("dropped")
		act(letter("dropped"), "drop")
	default:
		put(outcome)
	}
}

// mustBeSound holds a journal against its own rules.
func mustBeSound(tb testing.TB, path string) {
	tb.Helper()
	if err := inventory.Audit(context.Background(), path); err != nil {
		tb.Error(err)
	}
}

func sortedKeys[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	return sorted(keys)
}
