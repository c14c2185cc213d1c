package move

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// answer has subscription sub of m answer a new event with outcome, as whoever decides that would leave it.
func (m *made) answer(sub int64, kind, id, outcome string) {
	m.exec("INSERT INTO events (id, type, source, key, time, correlation_id, data) VALUES (?, ?, 'bus', 'k', 1, 'f', x'7b7d') ON CONFLICT DO NOTHING", id, kind)
	seq := column[int64](m, "SELECT seq FROM events WHERE id = ? AND type = ?", id, kind)[0]
	if outcome == "" {
		return
	}
	state := map[string]string{"replaying": "retrying", "replayed": "done", "dropped": "dropped", "dead": "dead", "done": "done", "retrying": "retrying"}[outcome]
	m.exec("INSERT INTO deliveries VALUES (?, ?, ?, 1, ?, 5, NULL)", seq, sub, state, m.IntN(1<<40))
	if state == "retrying" {
		m.exec("INSERT INTO pending VALUES (?, 'k', ?, 'retrying', 1, ?, 0)", sub, seq, m.IntN(1<<40))
	}
	if outcome == "done" || outcome == "retrying" {
		return
	}
	letter := m.exec("INSERT INTO dead_letters (seq, subscription, error, attempts, first_failed_at, dead_at, status) VALUES (?, ?, 'no event', 1, 1, ?, ?)",
		seq, sub, m.IntN(1<<40), outcome)
	for act, of := range map[string][]string{"drop": {"dropped"}, "replay": {"replaying", "replayed"}} {
		if slices.Contains(of, outcome) {
			m.exec("INSERT INTO acts (at, actor, act, dead_letter, reason) VALUES (?, 'ada', ?, ?, 'of ' || ?)", m.IntN(1<<40), act, letter, id)
		}
	}
}

// TestMergeBringsTheAnswersOfTheBus merges a journal in which the bus's own subscriptions have dead letters, some of which people have
// acted on. They come, with the acts, and the proof counts them.
func TestMergeBringsTheAnswersOfTheBus(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, 6))
		o := Options{Journal: MustMake(t, random), Other: filepath.Join(t.TempDir(), "payment.db"), Modules: []string{"payment"}, NoBackup: true}
		if _, err := Split(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		a, b := mustTouch(t, random, o.Journal), mustTouch(t, random, o.Other)
		subscribe := func(m *made, name, types string, except int) int64 {
			m.exec("INSERT INTO subscriptions (name, kind, types, except_of, start_seq, cursor) VALUES (?, 'bus', ?, ?, 0, 0) ON CONFLICT DO NOTHING", name, types, except)
			return column[int64](m, "SELECT id FROM subscriptions WHERE name = ?", name)[0]
		}
		outcomes := []string{"", "done", "retrying", "dead", "dropped", "replaying", "replayed"}
		ingestA, ingestB := subscribe(a, "bus/ingest", `["bus.undecoded"]`, 0), subscribe(b, "bus/ingest", `["bus.undecoded"]`, 0)
		relay := subscribe(b, "bus/relay", `["bus.unsent"]`, 0)
		unknown := subscribe(b, "bus/unknown", `["plain"]`, 1)
		want := map[string]string{}
		for _, there := range outcomes {
			b.answer(ingestB, "bus.undecoded", "there "+there, there)
			b.answer(relay, "bus.unsent", "unsent "+there, there)
			b.answer(unknown, "other", "unknown "+there, there)
			want["bus/ingest there "+there], want["bus/relay unsent "+there], want["bus/unknown unknown "+there] = there, there, there
			for _, here := range outcomes {
				id := here + ", " + there
				a.answer(ingestA, "bus.undecoded", id, here)
				b.answer(ingestB, "bus.undecoded", id, there)
				want["bus/ingest "+id] = here
				if rank(there) > rank(here) {
					want["bus/ingest "+id] = there
				}
			}
		}
		b.exec("INSERT INTO events (id, type, source, time, correlation_id, causation_id, subscription, data) VALUES ('decoded', 'plain', 'x', 1, 'f', 'dead, replayed', 'bus/ingest', x'7b7d')")
		p, err := Merge(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if wrong := p.Wrong(); len(wrong) > 0 {
			t.Error(wrong)
		}
		mustBeSound(t, o.Journal)
		for of, outcome := range want {
			got := column[string](a, `
SELECT d.outcome || coalesce(' ' || l.status, '') || coalesce(' ' || (SELECT group_concat(act || ' ' || reason) FROM acts WHERE dead_letter = l.id AND reason = 'of ' || e.id), '')
FROM events e JOIN subscriptions s ON s.name || ' ' || e.id = ? LEFT JOIN deliveries d ON d.seq = e.seq AND d.subscription = s.id
LEFT JOIN dead_letters l ON l.seq = e.seq AND l.subscription = s.id WHERE d.seq IS NOT NULL`, of)
			if len(got) != min(1, len(outcome)) {
				t.Errorf("%s: answers %q, want %q", of, got, outcome)
			}
			if len(got) == 1 && !isLike(got[0], outcome) {
				t.Errorf("%s: answer %q, want %q", of, got[0], outcome)
			}
		}
	}
}

// rank is how much an outcome settles, and whether there is any.
func rank(outcome string) int {
	return map[string]int{"": 0, "dropped": 1, "retrying": 2, "dead": 2, "replaying": 2, "done": 3, "replayed": 3}[outcome]
}

// isLike reports whether an answer, with its dead letter and acts, says outcome.
func isLike(answer, outcome string) bool {
	says := map[string][2]string{"done": {"done"}, "retrying": {"retrying"}, "dead": {"dead dead"}, "dropped": {"dropped dropped", "drop of "},
		"replaying": {"retrying replaying", "replay of "}, "replayed": {"done replayed", "replay of "}}[outcome]
	return strings.HasPrefix(answer, says[0]) && strings.Contains(answer, says[1])
}
