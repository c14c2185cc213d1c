package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/audit"
	"github.com/troupebus/troupe/internal/cli/clitest"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/inspect"
	"github.com/troupebus/troupe/transports/sqlite"
)

// parcel is the event of the tests of what looks into a journal.
type parcel struct {
	Key string `json:"key"`
	N   int    `json:"n"`
}

func (parcel) EventType() string  { return "test.sent" }
func (p parcel) EventKey() string { return p.Key }

// postOffice is a bus with the subscription post/deliver, which fails for odd N while it is closed.
type postOffice struct {
	path   string
	module *bus.Module
	bus    *bus.Bus
	closed *atomic.Bool
	stop   func()
}

// MustOpenPost runs one on the journal at path until stop, or the end of the test.
func MustOpenPost(tb testing.TB, path string, closed bool) *postOffice {
	tb.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	j, err := sqlite.Open(tb.Context(), path, sqlite.Config{Logger: quiet})
	if err != nil {
		tb.Fatal(err)
	}
	p := &postOffice{path: path, bus: bus.New(j, bus.Config{Logger: quiet}), closed: &atomic.Bool{}}
	p.closed.Store(closed)
	p.module = p.bus.Module("post").Emits(parcel{})
	bus.On(p.module, "deliver", func(_ context.Context, e parcel) (bus.Events, error) {
		if p.closed.Load() && e.N%2 == 1 {
			return nil, bus.Dead(errors.New("parcel " + e.Key + "-1:\nnobody is there"))
		}
		return nil, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.bus.Run(ctx) }()
	<-p.bus.Running()
	stopped := false
	p.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-ended, j.Close()); err != nil {
			tb.Error(err)
		}
	}
	tb.Cleanup(p.stop)
	return p
}

// send publishes parcels in one flow and waits for quiet.
func (p *postOffice) send(tb testing.TB, flow string, parcels ...bus.Event) {
	tb.Helper()
	if _, err := p.module.Publish(bus.Correlate(tb.Context(), flow), parcels...); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	if err := p.bus.Quiet(ctx); err != nil {
		tb.Fatal(err)
	}
}

// MustHaveDeadLetters returns a post office that is closed, with dead letters 1 and 2.
func MustHaveDeadLetters(tb testing.TB) *postOffice {
	tb.Helper()
	p := MustOpenPost(tb, filepath.Join(tb.TempDir(), "post.db"), true)
	p.send(tb, "f1", parcel{"a", 1}, parcel{"a", 2})
	p.send(tb, "f2", parcel{"b", 1})
	return p
}

// Output implements clitest.Ran.
func (r ranCommand) Output() (stdout string, code int, err error) {
	return r.stdout, console.ExitCode(r.err), r.err
}

func wantOutput(tb testing.TB, got ranCommand, code int, parts ...string) {
	tb.Helper()
	clitest.WantOutput(tb, got, code, parts...)
}

func mustUnmarshal[T any](tb testing.TB, ran ranCommand) T {
	tb.Helper()
	return clitest.MustUnmarshal[T](tb, ran)
}

func TestDLQOfWrongBooks(t *testing.T) {
	t.Parallel()
	p := MustHaveDeadLetters(t)
	p.stop()
	MustChange(t, p.path, "UPDATE deliveries SET outcome = 'done' WHERE outcome = 'dead'")
	ran := MustRunCommand(t, inspect.NewDLQCmd, "drop", "1", "--reason", "r", "--journal", p.path)
	wantOutput(t, ran, console.ExitWrong, "the journal's books are wrong: the deliveries of 1 ", "; next: troupe verify --journal "+p.path)
}

func TestDLQListAndShow(t *testing.T) {
	t.Parallel()
	p := MustHaveDeadLetters(t)
	dlq := func(args ...string) ranCommand {
		return MustRunCommand(t, inspect.NewDLQCmd, append(args, "--journal", p.path)...)
	}
	wantOutput(t, dlq("list"), 0, "ID  SUBSCRIPTION  EVENT", "1   post/deliver", "parcel a-1: nobody is there", "dlq show 2 --journal "+p.path)
	wantOutput(t, dlq("list", "--status", "dropped"), 0, "no dead letters")
	wantOutput(t, dlq("list", "--causes"), 0, "2      post/deliver", "parcel #: nobody is there", "dlq show 2")
	if all := mustUnmarshal[[]journal.DeadLetter](t, dlq("list", "--json", "--status", "all", "--type", "test.sent", "--since", "1h")); len(all) != 2 || all[0].Event.Key != "a" {
		t.Errorf("as JSON: %+v", all)
	}
	if none := dlq("list", "--json", "--subscription", "post/other"); strings.TrimSpace(none.stdout) != "[]" {
		t.Errorf("none as JSON: %s", none.stdout)
	}
	if causes := mustUnmarshal[[]sqlite.Cause](t, dlq("list", "--causes", "--json")); len(causes) != 1 || causes[0].Count != 2 {
		t.Errorf("causes as JSON: %+v", causes)
	}
	wantOutput(t, dlq("show", "1"), 0, "1 of post/deliver, dead", "parcel a-1: nobody is there", `"key": "a"`, "f1", "troupe trace f1", "dlq replay 1 --reason why")
	if d := mustUnmarshal[journal.DeadLetter](t, dlq("show", "2", "--json")); d.ID != 2 || string(d.Event.Data) == "" {
		t.Errorf("as JSON: %+v", d)
	}
	wantOutput(t, dlq("show", "77"), console.ExitWrong, "no dead letter 77")
}

func TestDLQReplayWhileRunning(t *testing.T) {
	t.Parallel()
	p := MustHaveDeadLetters(t)
	wantOutput(t, MustRunCommand(t, inspect.NewDLQCmd, "replay", "1", "--journal", p.path), console.ExitWrong, "1 dead letter: dead again; next: troupe dlq show 1")
	p.closed.Store(false)
	began := time.Now()
	wantOutput(t, MustRunCommand(t, inspect.NewDLQCmd, "replay", "--all", "--reason", "open again", "--journal", p.path), 0, "2 dead letters: handled")
	if took := time.Since(began); took >= inspect.ReplayPatience {
		t.Errorf("it took %v, to the end of its patience", took)
	}
	wantOutput(t, MustRunCommand(t, inspect.NewDLQCmd, "show", "1", "--journal", p.path), 0, "replayed", "replay        by", "open again")
	wantOutput(t, MustRunCommand(t, inspect.NewDLQCmd, "replay", "1", "--journal", p.path), console.ExitWrong, "1 is replayed")
}

func TestDLQReplayWhileStopped(t *testing.T) {
	t.Parallel()
	p := MustHaveDeadLetters(t)
	p.stop()
	wantOutput(t, MustRunCommand(t, inspect.NewDLQCmd, "replay", "--subscription", "post/deliver", "--journal", p.path), 0, "2 dead letters: to be replayed when its own program next runs on "+p.path)
	again := MustOpenPost(t, p.path, false)
	again.send(t, "f3", parcel{"c", 2})
	ran := MustRunCommand(t, inspect.NewDLQCmd, "list", "--status", "replayed", "--json", "--journal", p.path)
	if done := mustUnmarshal[[]journal.DeadLetter](t, ran); len(done) != 2 {
		t.Errorf("replayed: %+v", done)
	}
}

func TestDLQDrop(t *testing.T) {
	t.Parallel()
	p := MustHaveDeadLetters(t)
	wantOutput(t, MustRunCommand(t, inspect.NewDLQCmd, "drop", "1", "--journal", p.path), console.ExitUsage, "--reason is missing")
	wantOutput(t, MustRunCommand(t, inspect.NewDLQCmd, "drop", "1", "2", "--reason", "lost", "--journal", p.path), 0, "2 dead letters: dropped")
	wantOutput(t, MustRunCommand(t, inspect.NewDLQCmd, "show", "2", "--journal", p.path), 0, "2 of post/deliver, dropped", "lost")
	ran := MustRunCommand(t, inspect.NewDLQCmd, "replay", "--all", "--json", "--journal", p.path)
	wantOutput(t, ran, console.ExitWrong, "no dead letter fits")
}

func TestWrongUseOfTheCommands(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cmd  func(*console.Options) *cobra.Command
		args []string
		code int
		says string
	}{
		"no letters":          {inspect.NewDLQCmd, []string{"replay"}, console.ExitUsage, "are chosen"},
		"letters twice":       {inspect.NewDLQCmd, []string{"replay", "1", "--all"}, console.ExitUsage, "exclude each other"},
		"all and some":        {inspect.NewDLQCmd, []string{"replay", "--all", "--type", "t"}, console.ExitUsage, "exclude each other"},
		"not an id":           {inspect.NewDLQCmd, []string{"show", "x"}, console.ExitUsage, `"x" is not the id`},
		"no id":               {inspect.NewDLQCmd, []string{"drop", "--reason", "r"}, console.ExitUsage, "are chosen"},
		"unknown subcommand":  {inspect.NewDLQCmd, []string{"lst"}, console.ExitUsage, `unknown command "lst"`},
		"status":              {inspect.NewDLQCmd, []string{"list", "--status", "gone"}, console.ExitUsage, `"gone"`},
		"limit":               {inspect.NewDLQCmd, []string{"list", "--limit", "-1"}, console.ExitUsage, "--limit -1"},
		"no trace id":         {inspect.NewTraceCmd, nil, console.ExitUsage, "accepts 1 arg"},
		"unknown flag":        {inspect.NewTraceCmd, []string{"--colour", "x"}, console.ExitUsage, "unknown flag"},
		"since":               {inspect.NewEventsCmd, []string{"--since", "yesterday"}, console.ExitUsage, "a duration before now"},
		"events limit":        {inspect.NewEventsCmd, []string{"--limit", "-1"}, console.ExitUsage, "--limit -1"},
		"events argument":     {inspect.NewEventsCmd, []string{"x"}, console.ExitUsage, "events takes no arguments"},
		"no journal: trace":   {inspect.NewTraceCmd, []string{"x"}, console.ExitWrong, "there is no journal yet"},
		"no journal: events":  {inspect.NewEventsCmd, nil, console.ExitWrong, "there is no journal yet"},
		"no journal: verify":  {audit.NewVerifyCmd, nil, console.ExitWrong, "there is no journal yet"},
		"no journal: letters": {inspect.NewDLQCmd, []string{"list"}, console.ExitWrong, "there is no journal yet"},
		"no journal: replay":  {inspect.NewDLQCmd, []string{"replay", "--all"}, console.ExitWrong, "there is no journal yet"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := c.args
			if c.code == console.ExitWrong {
				args = append(args, "--journal", filepath.Join(t.TempDir(), "none.db"))
			}
			wantOutput(t, MustRunCommand(t, c.cmd, args...), c.code, c.says)
		})
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	p := MustHaveDeadLetters(t)
	for _, c := range []struct{ want, args string }{
		{"test.sent\n", "__complete events --journal PATH --type "},
		{"post/deliver\n", "__complete dlq list --journal PATH --subscription "},
		{"replaying\n", "__complete dlq list --status "},
		{"2\tpost/deliver: parcel b-1: nobody is there\n", "__complete dlq show --journal PATH "},
	} {
		root := func(o *console.Options) *cobra.Command {
			root := &cobra.Command{Use: "troupe"}
			root.AddCommand(inspect.NewEventsCmd(o), inspect.NewDLQCmd(o))
			root.SetOut(o.Stdout)
			root.SetErr(o.Stderr)
			return root
		}
		args := strings.Split(strings.Replace(c.args, "PATH", p.path, 1), " ")
		if got := MustRunCommand(t, root, args...); !strings.Contains(got.stdout, c.want) {
			t.Errorf("%s offers %q, want %q", c.args, got.stdout, c.want)
		}
	}
}

func TestDLQListIsBounded(t *testing.T) {
	t.Parallel()
	p := MustHaveDeadLetters(t)
	p.send(t, "f4", parcel{"c", 1}, parcel{"d", 1}, parcel{"e", 1})
	list := func(args ...string) ranCommand {
		return MustRunCommand(t, inspect.NewDLQCmd, append([]string{"list", "--journal", p.path}, args...)...)
	}
	all := mustUnmarshal[[]journal.DeadLetter](t, list("--json"))
	for _, d := range all {
		if d.Event.Data != nil || d.Event.DataBase64 != nil || d.Stack != "" || d.Event.ID == "" || d.Error == "" {
			t.Errorf("listed: %+v", d)
		}
	}
	few := list("--json", "--limit", "2")
	if got := mustUnmarshal[[]journal.DeadLetter](t, few); len(all) < 3 || len(got) != 2 || got[1].ID != all[len(all)-1].ID || !strings.Contains(few.stderr, "--limit 0") {
		t.Errorf("the newest 2 of %d: %+v, %q", len(all), got, few.stderr)
	}
	wantOutput(t, list("--limit", "2"), 0, "there are older dead letters: --limit 0", "next: ")
	if text := list("--limit", fmt.Sprint(len(all))).stdout; strings.Contains(text, "older") {
		t.Errorf("there are no older ones: %s", text)
	}
	if causes := mustUnmarshal[[]sqlite.Cause](t, list("--causes", "--json")); len(causes) != 1 || causes[0].Count != len(all) || causes[0].Example != all[len(all)-1].ID {
		t.Errorf("causes: %+v", causes)
	}
}
