package torture

import (
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/troupebus/troupe/internal/torture/story"
	"github.com/troupebus/troupe/internal/torture/talk"
)

// quietDay is a schedule without faults, except for the moods of handlers.
var quietDay = story.Schedule{Kind: "anything", Steps: []story.Step{
	{Do: story.Start, Wait: 100},
	{Do: story.Publish, Key: "k0", N: 1, Count: 3, Calls: 2},
	{Do: story.Work, Key: "k1", N: 1, Count: 2, Calls: 2, Wait: 100},
	{Do: story.Publish, Key: "k1", N: 5, Mood: "dead", Wait: 300},
	{Do: story.Publish, Key: "k1", N: 6, Mood: "sick", Wait: 100},
	{Do: story.Publish, Key: "k1", N: 7, Mood: "plain", Wait: 300},
	{Do: story.Foreign, Key: "k2", N: 1, Count: 3},
	{Do: story.Command, Args: []string{"dlq", "drop", "1"}},
	{Do: story.Command, Args: []string{"events", "--json", "--limit", "0", "--type", "torture.asked"}, Wait: 300},
	{Do: story.Stop},
}}

// A quiet day passes the audit, and the audit finds each kind of later damage to its journal.
func TestAuditFindsDamage(t *testing.T) {
	t.Parallel()
	m := MustBuild(t)
	r, err := m.prepare(t.Context(), quietDay, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer r.end()
	for i, s := range quietDay.Steps {
		if s.Do == story.Command { // the dead letters and events must exist, also on a busy machine
			r.answers.Wait()
			r.rest()
		}
		r.step(i, s)
	}
	r.settle()
	r.audit()
	if len(r.findings) > 0 {
		t.Fatal(story.Text(quietDay, r.findings))
	}
	whole, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ damage, class, text string }{
		{"DELETE FROM front_rows WHERE n = 1", "torn", ""},
		{"UPDATE events SET data = CAST(json_set(CAST(data AS TEXT), '$.n', 99) AS BLOB) WHERE seq = 1", "lost", ""},
		{"UPDATE events SET data = CAST(json_set(CAST(data AS TEXT), '$.n', 99) AS BLOB) WHERE seq = 1", "nowhere", ""},
		{"UPDATE events SET data = (SELECT data FROM events WHERE seq = 1) WHERE seq = 2", "twice", ""},
		{"DELETE FROM ledger_rows WHERE id = 1", "effect", ""},
		{"INSERT INTO ledger_rows (sub, event, key, n) SELECT sub, event, key, n FROM ledger_rows WHERE id = 1", "effect", ""},
		{"UPDATE ledger_rows SET n = n + 1 WHERE id = 1", "changed", ""},
		{"UPDATE ledger_rows SET id = id + 1000 WHERE sub = 'ledger/note' AND key = 'k0' AND n = 1", "order", ""},
		{"UPDATE ledger_sums SET total = total + 1", "sum", ""},
		{"DELETE FROM acts", "act", ""},
		{"DELETE FROM deliveries WHERE seq = 1", "check", ""},
		{"INSERT INTO events (id, type, key, time, correlation_id, data) VALUES ('x', 'torture.inside', 'k', 1, 'x', x'7b7d')", "early", ""},
		{"UPDATE acts SET at = 1 WHERE act = 'replay'", "order", "was replayed, and before that event"},
		{"UPDATE acts SET at = 1 WHERE act = 'replay'", "order", "although no older event of the key was open"},
		{"UPDATE dead_letters SET first_failed_at = 9e15", "order", "had not failed yet"},
	} {
		d := m.MustCopy(t, r, whole)
		MustDamage(t, d.path, tt.damage)
		d.audit()
		if !slices.ContainsFunc(d.findings, func(f story.Finding) bool { return f.Class == tt.class && strings.Contains(f.Text, tt.text) }) {
			t.Errorf("after %q: %v, want something of class %s: %s", tt.damage, d.findings, tt.class, tt.text)
		}
	}
	undone := m.MustCopy(t, r, whole)
	undone.all[0].answer = talk.NotDone
	undone.audit()
	outside := m.MustCopy(t, r, whole)
	first, _, _ := strings.Cut(string(mustRead(t, r.outside)), "\n")
	if err := os.WriteFile(outside.outside, []byte(strings.Repeat(first+"\n", 2)), 0o600); err != nil {
		t.Fatal(err)
	}
	outside.audit()
	if !undone.has("undone") || !outside.has("outside") {
		t.Errorf("an event that was refused: %v; a call that was repeated: %v", undone.findings, outside.findings)
	}
}

// MustCopy returns a run with the model of r, on a copy of its journal.
func (m *Machine) MustCopy(t *testing.T, r *run, whole []byte) *run {
	t.Helper()
	d, err := m.prepare(t.Context(), r.schedule, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range r.all {
		known := *a
		d.all = append(d.all, &known)
	}
	d.acts, d.outside = r.acts, filepath.Join(d.folder, "outside")
	if err := os.WriteFile(d.path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.outside, mustRead(t, r.outside), 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// MustDamage changes a journal from outside.
func MustDamage(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
