package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/inspect"
)

func TestTrace(t *testing.T) {
	t.Parallel()
	p := MustHaveDeadLetters(t)
	trace := func(args ...string) ranCommand {
		return MustRunCommand(t, inspect.NewTraceCmd, append(args, "--journal", p.path)...)
	}
	wantOutput(t, trace("f1"), 0, "flow f1: 2 events in ", "test.sent  a  +0s\n└─ post/deliver  dead, dead letter 1: parcel a-1: nobody is there\n",
		"└─ post/deliver  done in ", "next: troupe dlq show 1 --journal "+p.path)
	p.send(t, "f3", parcel{"a", 4})
	wantOutput(t, trace("a"), 0, "flow f1", "\n\nflow f3")
	flows := mustUnmarshal[[]journal.Flow](t, trace("f2", "--json"))
	if len(flows) != 1 || flows[0].ID != "f2" || len(flows[0].Events) != 1 || flows[0].Events[0].Reactions[0].Outcome != journal.Dead {
		t.Errorf("as JSON: %+v", flows)
	}
	wantOutput(t, trace(flows[0].Events[0].ID), 0, "flow f2")
	wantOutput(t, trace("f9"), console.ExitWrong, `"f9" is neither`)
}

// Colour is for terminals, unless it is not wanted.
func TestColor(t *testing.T) {
	for _, c := range []struct {
		o    console.Options
		env  string
		want bool
	}{
		{console.Options{IsTerminal: true}, "", true},
		{console.Options{}, "", false},
		{console.Options{IsTerminal: true, NoColor: true}, "", false},
		{console.Options{IsTerminal: true, Json: true}, "", false},
		{console.Options{IsTerminal: true}, "1", false},
	} {
		t.Setenv("NO_COLOR", c.env)
		if got := c.o.Color(); got != c.want {
			t.Errorf("%+v with NO_COLOR=%q: %t", c.o, c.env, got)
		}
	}
}

func TestEventsCommand(t *testing.T) {
	t.Parallel()
	p := MustHaveDeadLetters(t)
	events := func(args ...string) ranCommand {
		return MustRunCommand(t, inspect.NewEventsCmd, append(args, "--journal", p.path)...)
	}
	all := events()
	wantOutput(t, all, 0, "      1  ", "test.sent", "flow f1")
	if n := strings.Count(all.stdout, "\n"); n != 3 {
		t.Errorf("%d events:\n%s", n, all.stdout)
	}
	for args, want := range map[string]string{
		"--limit 2": "2 3", "--limit 0": "1 2 3", "--key b": "3", "--flow f1": "1 2", "--type test.other": "",
		"--since 1h": "1 2 3", "--since 2999-01-01T00:00:00Z": "", "--type test.sent,test.other --limit 1": "3",
	} {
		ran := events(append(strings.Fields(args), "--json")...)
		var seqs []string
		for line := range strings.Lines(ran.stdout) {
			var e journal.EventRecord
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			seqs = append(seqs, string(rune('0'+e.Seq)))
		}
		if got := strings.Join(seqs, " "); ran.err != nil || got != want {
			t.Errorf("%s: %q, want %q: %v", args, got, want, ran.err)
		}
	}
}

// lines is a writer that hands on each line.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		l <- string(line)
	}
	return len(b), nil
}

func TestEventsFollow(t *testing.T) {
	t.Parallel()
	p := MustOpenPost(t, filepath.Join(t.TempDir(), "post.db"), false)
	p.send(t, "f0", parcel{"a", 1}, parcel{"other", 1})
	out := make(lines, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cmd := inspect.NewEventsCmd(&console.Options{Program: shop(), Stdout: out, Stderr: io.Discard})
	cmd.SetArgs([]string{"--follow", "--key", "a", "--journal", p.path})
	ended := make(chan error, 1)
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	next := func() string {
		select {
		case line := <-out:
			return line
		case <-time.After(10 * time.Second):
			t.Fatal("nothing came")
			return ""
		}
	}
	for _, flow := range []string{"f0", "f1", "f2"} {
		if line := next(); !strings.Contains(line, "flow "+flow) {
			t.Errorf("got %q, want flow %s", line, flow)
		}
		p.send(t, "f"+string(flow[1]+1), parcel{"other", 1}, parcel{"a", 1})
	}
	next()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if len(out) > 0 {
		t.Errorf("more came: %q", <-out)
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain": "plain", "a\nb\t c": "a b c", "\x1b[31mred\x07": "[31mred", "Käse \u202e": "Käse", "\xff": "�",
	} {
		if got := console.Printable(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	if got := console.Clip("abcdef", 4); got != "abc…" {
		t.Errorf("clipped to %q", got)
	}
}
