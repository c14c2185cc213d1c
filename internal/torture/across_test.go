package torture

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

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

// A network relays, holds, cuts and refuses connections.
func TestNetwork(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() { // echoes lines
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c) }()
		}
	}()
	n, err := newNetwork()
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	dial := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", n.address())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintln(c, l.Addr())
		return c, bufio.NewReader(c)
	}
	says := func(c net.Conn, in *bufio.Reader, text string) bool {
		_, _ = fmt.Fprintln(c, text)
		line, err := in.ReadString('\n')
		return err == nil && strings.TrimSpace(line) == text
	}
	c, in := dial()
	defer func() { _ = c.Close() }()
	if !says(c, in, "one") {
		t.Error("a network that is whole does not carry")
	}
	n.set(story.Held)
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if says(c, in, "two") {
		t.Error("a network that is held carries")
	}
	_ = c.SetReadDeadline(time.Time{})
	n.set("")
	if line, err := in.ReadString('\n'); err != nil || line != "two\n" {
		t.Errorf("held bytes come as %q, %v", line, err)
	}
	n.set(story.Cut)
	if says(c, in, "three") {
		t.Error("a connection that was cut carries")
	}
	again, in := dial()
	defer func() { _ = again.Close() }()
	if !says(again, in, "four") {
		t.Error("after a cut, a new connection is not carried")
	}
	n.set(story.Refusing)
	last, in := dial()
	defer func() { _ = last.Close() }()
	if says(last, in, "five") {
		t.Error("a network that refuses carries")
	}
}
