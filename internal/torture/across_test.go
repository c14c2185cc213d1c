package torture

import (
	"slices"
	"testing"

	"github.com/troupebus/troupe/internal/torture/story"
)

// acrossDay is a schedule in which the network fails once in every way.
var acrossDay = story.Schedule{Kind: story.OverBroker, Steps: []story.Step{
	{Do: story.Start, Key: story.Broker}, {Do: story.Start, Key: story.Door}, {Do: story.Start, Key: story.Ledger}, {Do: story.Start, Key: story.Tail, Wait: 300},
	{Do: story.Publish, Key: "k0", N: 1, Count: 3, Calls: 2},
	{Do: story.Network, Mood: story.Held, For: 300, Wait: 100},
	{Do: story.Publish, Key: "k0", N: 7, Count: 3},
	{Do: story.Kill, Key: story.Broker}, {Do: story.Kill, Key: story.Ledger},
	{Do: story.Publish, Key: "k1", N: 1, Count: 3, Wait: 100},
	{Do: story.Start, Key: story.Broker}, {Do: story.Network, Mood: story.Cut, For: 50}, {Do: story.Freeze, Key: story.Broker, For: 200},
}}

// A flow across a network passes the audit, and the audit finds later damage to each journal.
func TestAcrossFindsDamage(t *testing.T) {
	t.Parallel()
	m := MustBuild(t)
	r, err := m.prepare(t.Context(), acrossDay, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a, err := newAcross(r)
	if err != nil {
		t.Fatal(err)
	}
	a.play()
	if len(a.findings) > 0 {
		t.Fatal(story.Text(acrossDay, a.findings))
	}
	for _, tt := range []struct{ journal, damage, repair, class string }{
		{story.Tail, "UPDATE events SET id = 'x' WHERE seq = 1", "", "lost"},
		{story.Tail, "UPDATE events SET seq = -seq WHERE key = 'k0'", "UPDATE events SET seq = -seq WHERE seq < 0", "order"},
		{story.Ledger, "UPDATE events SET key = 'k9' WHERE key = 'k1'", "UPDATE events SET key = 'k1' WHERE key = 'k9'", "nowhere"},
		{story.Ledger, "DELETE FROM ledger_rows WHERE id = 1", "", "effect"},
		{story.Door, "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)", "", "lost"},
	} {
		MustDamage(t, a.journal(tt.journal), tt.damage)
		a.findings, a.found = nil, map[story.Finding]bool{}
		a.audit()
		if !slices.ContainsFunc(a.findings, func(f story.Finding) bool { return f.Class == tt.class }) {
			t.Errorf("after %q: %v, want something of class %s", tt.damage, a.findings, tt.class)
		}
		if tt.repair != "" {
			MustDamage(t, a.journal(tt.journal), tt.repair)
		}
	}
}
