package move

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
)

// mustTouch opens a journal to change it past everybody.
func mustTouch(tb testing.TB, random *rand.Rand, path string) *made {
	tb.Helper()
	db, err := sql.Open("sqlite3", dbfile.URI(path)+"?_synchronous=OFF&_txlock=immediate&mode=rw")
	if err != nil {
		tb.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	tb.Cleanup(func() { _ = db.Close() })
	return &made{tb: tb, Rand: random, db: db}
}

// column is the first column of all rows.
func column[T any](m *made, query string, args ...any) (all []T) {
	m.tb.Helper()
	rows, err := m.db.Query(query, args...)
	if err != nil {
		m.tb.Fatalf("%v: %s", err, query)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			m.tb.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

// emit appends new events of the modules that m runs.
func (m *made) emit(round int, modules ...string) {
	for i := range m.IntN(12) {
		kind := pick(m, sortedKeys(emitters))
		if !slices.Contains(modules, emitters[kind]) {
			continue
		}
		id := m.id("new", 100*round+i)
		m.exec("INSERT INTO events (id, type, source, key, time, correlation_id, data) VALUES (?, ?, ?, ?, ?, ?, x'7b7d')",
			id, kind, emitters[kind], pick(m, []string{"", "a", "b", "c"}), 2_000_000+100*round+i, id)
	}
}

// send moves the relay of m on, and returns what lay between: what is on its topics from then on.
func (m *made) send(modules ...string) []int64 {
	head := column[int64](m, "SELECT coalesce(max(seq), 0) FROM events")[0]
	was := column[int64](m, "SELECT cursor FROM subscriptions WHERE name = 'relay'")[0]
	is := was + m.Int64N(max(head-was, 0)+1)
	m.exec("UPDATE subscriptions SET cursor = ? WHERE name = 'relay'", is)
	return column[int64](m, "SELECT seq FROM events WHERE seq > ? AND seq <= ? AND source IN (SELECT value FROM json_each(?)) ORDER BY seq", was, is, dbfile.List(modules))
}

// ingest copies events from another journal that m consumes, unless it has them, and stops anywhere; it returns what is left.
func (m *made) ingest(from *made, seqs []int64) []int64 {
	wants := column[string](m, "SELECT DISTINCT t.value FROM subscriptions s, json_each(s.types) t WHERE s.kind = 'bus' AND s.except_of = 0")
	for len(seqs) > 0 && m.IntN(10) > 0 {
		var id, kind, source, key string
		var at int64
		var data []byte
		if err := from.db.QueryRow("SELECT id, type, source, key, time, data FROM events WHERE seq = ?", seqs[0]).Scan(&id, &kind, &source, &key, &at, &data); err != nil {
			m.tb.Fatal(err)
		}
		seqs = seqs[1:]
		if slices.Contains(wants, kind) {
			m.exec(`INSERT INTO events (id, type, source, key, time, correlation_id, metadata, data) VALUES (?, ?, ?, ?, ?, ?, '{"partition":"3"}', ?) ON CONFLICT DO NOTHING`,
				id, kind, source, key, at, id, data)
		}
	}
	return seqs
}

// handle lets every subscription go on for a while.
func (m *made) handle() {
	for _, name := range column[string](m, "SELECT name FROM subscriptions WHERE kind = 'bus' AND except_of = 0") {
		var sub int64
		if err := m.db.QueryRow("SELECT id FROM subscriptions WHERE name = ?", name).Scan(&sub); err != nil {
			m.tb.Fatal(err)
		}
		held := map[string]bool{}
		for _, key := range column[string](m, "SELECT key FROM pending WHERE subscription = ? AND key <> ''", sub) {
			held[key] = true
		}
		for _, seq := range column[int64](m, `SELECT e.seq FROM subscriptions s, json_each(s.types) t JOIN events e ON e.type = t.value
WHERE s.id = ? AND e.seq > s.cursor AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = e.seq AND d.subscription = s.id) ORDER BY e.seq`, sub) {
			if m.IntN(5) == 0 {
				break
			}
			m.deliver(sub, event{seq: seq, key: column[string](m, "SELECT key FROM events WHERE seq = ?", seq)[0]}, held)
			m.exec("UPDATE subscriptions SET cursor = ? WHERE id = ?", seq, sub)
		}
	}
}

// answers are what each subscription of payment has for each event, and which events it has none for.
func (m *made) answers() (answered, waiting []string) {
	const of = ` FROM subscriptions s, json_each(s.types) t JOIN events e ON e.type = t.value AND e.seq > s.start_seq
LEFT JOIN deliveries d ON d.seq = e.seq AND d.subscription = s.id WHERE s.name LIKE 'payment/%'`
	answered = column[string](m, `SELECT s.name || ' ' || e.type || ' ' || e.id || ' ' || d.outcome`+of+` AND d.seq IS NOT NULL AND (d.outcome, d.attempts) <> ('skipped', 0)`)
	waiting = column[string](m, `SELECT s.name || ' ' || e.type || ' ' || e.id`+of+` AND d.seq IS NULL`)
	return sorted(answered), sorted(waiting)
}

// TestLifeApart splits a journal, lets both halves live, with what they send each other on its way, and merges them.
func TestLifeApart(t *testing.T) {
	t.Parallel()
	var unsentSeen, behind int
	t.Run("seeds", func(t *testing.T) {
		for seed := range uint64(20) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1))
				shop := MustMake(t, random)
				into := filepath.Join(t.TempDir(), "payment.db")
				o := Options{Journal: shop, Other: into, Modules: []string{"payment"}, NoBackup: true}
				if _, err := Split(t.Context(), o); err != nil {
					t.Fatal(err)
				}
				a, b := mustTouch(t, random, shop), mustTouch(t, random, into)
				for name, kind := range map[string]string{"bus/ingest": "bus.undecoded", "bus/relay": "bus.unsent"} { // as its first run makes them
					b.exec("INSERT INTO subscriptions (name, kind, types, start_seq, cursor) VALUES (?, 'bus', ?, 0, 0)", name, dbfile.List([]string{kind}))
				}
				staying := []string{"order", "shipping", "payment_audit"}
				var toA, toB []int64
				for round := range random.IntN(6) {
					a.emit(2*round, append([]string{"bus"}, staying...)...)
					b.emit(2*round+1, "payment", "bus")
					toB, toA = append(toB, a.send(staying...)...), append(toA, b.send("payment")...)
					toA, toB = a.ingest(b, toA), b.ingest(a, toB)
					a.handle()
					b.handle()
				}
				mustBeSound(t, shop)
				mustBeSound(t, into)
				answered, waiting := b.answers()
				ofA := column[string](a, "SELECT id || ' ' || type FROM events ORDER BY seq")
				ofB := column[string](b, "SELECT id || ' ' || type FROM events ORDER BY seq")
				unsent := column[string](b, "SELECT id FROM events WHERE source = 'payment' AND seq > (SELECT cursor FROM subscriptions WHERE name = 'relay')")
				unsent = append(unsent, column[string](a, "SELECT id FROM events WHERE source IN ('order', 'shipping') AND seq > (SELECT cursor FROM subscriptions WHERE name = 'relay')")...)
				unsentSeen += len(unsent)

				if _, err := Merge(t.Context(), o); err != nil {
					t.Fatal(err)
				}
				mustBeSound(t, shop)
				nowAnswered, nowWaiting := a.answers()
				if !slices.Equal(answered, nowAnswered) {
					t.Errorf("answers have changed: %d, %d", len(answered), len(nowAnswered))
				}
				for _, w := range waiting {
					if !slices.Contains(nowWaiting, w) {
						t.Errorf("waits no more: %s", w)
					}
				}
				behind += len(nowWaiting) - len(waiting)
				now := column[string](a, "SELECT id || ' ' || type FROM events ORDER BY seq")
				if !slices.Equal(now[:len(ofA)], ofA) {
					t.Error("the events of the journal are others")
				}
				fresh := slices.DeleteFunc(ofB, func(e string) bool { return slices.Contains(ofA, e) })
				if !slices.Equal(now[len(ofA):], fresh) {
					t.Errorf("%d events came, want %d", len(now)-len(ofA), len(fresh))
				}
				toSend := column[string](a, "SELECT id FROM events WHERE seq > (SELECT cursor FROM subscriptions WHERE name = 'relay')")
				for _, id := range unsent {
					if !slices.Contains(toSend, id) {
						t.Errorf("is never sent: %s", id)
					}
				}
				// Whatever A had and B had not been given waits for the subscriptions that begin with the oldest.
				for _, w := range column[string](a, `SELECT s.name || ' ' || e.type || ' ' || e.id FROM subscriptions s, json_each(s.types) t JOIN events e ON e.type = t.value
WHERE s.name LIKE 'payment/%' AND s.start_seq = 0 AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = e.seq AND d.subscription = s.id)`) {
					if !slices.Contains(nowWaiting, w) {
						t.Errorf("has no answer and does not wait: %s", w)
					}
				}
			})
		}
	})
	if unsentSeen == 0 || behind == 0 {
		t.Errorf("the journals were too dull: %d unsent events, %d that the other one had not been given", unsentSeen, behind)
	}
}

// TestFromNow merges a subscription that began with what came after it, in a journal that had older events.
func TestFromNow(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 3))
	o := Options{Journal: MustMake(t, random), Other: filepath.Join(t.TempDir(), "payment.db"), Modules: []string{"payment"}, NoBackup: true}
	if _, err := Split(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	a, b := mustTouch(t, random, o.Journal), mustTouch(t, random, o.Other)
	put := func(m *made, id string, at int64) int64 {
		return m.exec("INSERT INTO events (id, type, source, time, correlation_id, data) VALUES (?, 'weather.changed', 'weather', ?, 'f', x'7b7d')", id, at)
	}
	put(a, "before, here", 1_000)
	put(a, "after, in both", 9_000_000)
	put(a, "after, here", 9_000_001)
	start := put(b, "before, there", 5_000_000)
	put(b, "after, in both", 9_000_000)
	put(b, "after, there", 9_000_002)
	b.exec("INSERT INTO subscriptions (name, kind, types, start_seq, cursor) VALUES ('payment/new', 'bus', '[\"weather.changed\"]', ?, ?)", start, start)
	if _, err := Merge(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	mustBeSound(t, o.Journal)
	got := column[string](a, `SELECT e.id FROM subscriptions s JOIN events e ON e.type = 'weather.changed' AND e.seq > s.start_seq
LEFT JOIN deliveries d ON d.seq = e.seq AND d.subscription = s.id WHERE s.name = 'payment/new' AND d.seq IS NULL ORDER BY e.seq`)
	if want := []string{"after, in both", "after, here", "after, there"}; !slices.Equal(got, want) {
		t.Errorf("for the subscription there are %q, want %q", got, want)
	}
}

// TestFromNowOfWhatStayed merges a journal with events that are older than subscriptions of both journals, which began to consume with
// what came then: these answer them as skipped, without an attempt, and get all others.
func TestFromNowOfWhatStayed(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 5))
	o := Options{Journal: MustMake(t, random), Other: filepath.Join(t.TempDir(), "payment.db"), Modules: []string{"payment"}, NoBackup: true}
	if _, err := Split(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	a, b := mustTouch(t, random, o.Journal), mustTouch(t, random, o.Other)
	put := func(m *made, id, source string, at int64) int64 {
		return m.exec("INSERT INTO events (id, type, source, time, correlation_id, data) VALUES (?, 'weather.changed', ?, ?, 'f', x'7b7d')", id, source, at)
	}
	subscribe := func(m *made, name string, start, since int64) {
		m.exec("INSERT INTO subscriptions (name, kind, types, start_seq, cursor, since) VALUES (?, 'bus', '[\"weather.changed\"]', ?, ?, ?)", name, start, start, since)
	}
	gain := func(m *made, name string) { // the type, from then on, and the events before were skipped
		m.exec("INSERT INTO subscriptions (name, kind, types, start_seq, cursor) SELECT ?, 'bus', '[\"weather.changed\"]', 0, coalesce(max(seq), 0) FROM events", name)
		m.exec("INSERT INTO type_starts SELECT id, 'weather.changed', 9000000 FROM subscriptions WHERE name = ?", name)
		m.exec("INSERT INTO deliveries SELECT e.seq, s.id, 'skipped', 0, 1, 0, NULL FROM subscriptions s, events e WHERE s.name = ? AND e.type = 'weather.changed'", name)
	}
	start := put(a, "before, here", "order", 8_000_000)
	subscribe(a, "order/dated", start, 9_000_000)
	subscribe(a, "order/undated", start, 0)
	subscribe(a, "order/early", 0, 9_000_000) // known before there was any event
	gain(a, "order/gained")
	put(b, "before, there", "payment", 7_000_000)
	gain(b, "payment/gained")
	subscribe(b, "payment/dated", column[int64](b, "SELECT max(seq) FROM events")[0], 9_000_000)
	subscribe(b, "payment/early", 0, 9_000_000)
	put(a, "sent late, in both", "payment", 7_500_000) // the bus would skip it in A, since its module is elsewhere
	put(b, "sent late, in both", "payment", 7_500_000)
	put(a, "late, of order", "order", 7_600_000) // likewise, in B
	put(b, "late, of order", "order", 7_600_000)
	put(a, "after, here", "order", 9_000_001)
	put(b, "after, there", "payment", 9_000_002)
	for _, m := range []*made{a, b} { // nothing else is to be said
		m.exec("UPDATE subscriptions SET retired_at = NULL")
	}
	p, err := Merge(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	mustBeSound(t, o.Journal)
	if wrong := p.Wrong(); len(wrong) > 0 {
		t.Error(wrong)
	}
	for name, want := range map[string][]string{
		"order/dated":    {"late, of order", "after, here", "after, there"}, // its own module's log decides
		"order/undated":  {"sent late, in both", "late, of order", "after, here", "after, there"},
		"order/early":    {"before, here", "late, of order", "after, here", "after, there"},
		"order/gained":   {"late, of order", "after, here", "after, there"},
		"payment/gained": {"sent late, in both", "after, here", "after, there"},
		"payment/dated":  {"sent late, in both", "after, here", "after, there"},
		"payment/early":  {"before, there", "sent late, in both", "after, here", "after, there"},
	} {
		got := column[string](a, `SELECT e.id FROM subscriptions s JOIN events e ON e.type = 'weather.changed' AND e.seq > s.start_seq
LEFT JOIN deliveries d ON d.seq = e.seq AND d.subscription = s.id WHERE s.name = ? AND d.seq IS NULL`, name)
		if !slices.Equal(sorted(got), sorted(want)) {
			t.Errorf("for %s there are %q, want %q", name, got, want)
		}
	}
}
