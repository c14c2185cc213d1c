package bustest_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/journal"
)

func TestGolden(t *testing.T) {
	t.Parallel()
	bustest.Run(t, tearoomSystem(), func(app *bustest.App[tearoom]) {
		app.Expect("till/charge")
		orderTea(app, assam2)
		app.Flow("tea-1").Golden(t, "tea-to-clean-up")
		app.Advance(time.Hour)
		app.Flow("tea-1").Golden(t, "tea")
		orderTea(app, ordered{ID: "broke", Cups: 1})
		app.Flow("broke").Golden(t, "broke")
	})
}

// The file is the same under every schedule. (After a crash the guest, who has no answer, orders again: that is another flow.)
func TestGoldenOfASearch(t *testing.T) {
	t.Parallel()
	l := &listener{TB: t}
	found := bustest.Search(t, tearoomSystem(), bustest.Exploration{Schedules: 50, Without: bustest.Crashes}, func(app *bustest.App[tearoom]) {
		orderTea(app, assam2)
		app.Advance(time.Hour)
		app.Flow("tea-1").Golden(l, "tea")
	})
	if len(found.Wrong) > 0 {
		t.Error(found)
	}
	if len(l.said) > 0 {
		t.Error(strings.Join(l.said, "\n"))
	}
}

// everything is a flow by hand, with what a small system does not do.
func everything() *journal.Flow {
	event := func(id, name, source, cause, by string, reactions ...journal.Reaction) journal.FlowEvent {
		return journal.FlowEvent{EventRecord: journal.EventRecord{
			ID: id, Type: name, Version: 1, Source: source, Key: "k" + id, CausationID: cause, Subscription: by, Time: noon,
		}, Reactions: reactions}
	}
	f := &journal.Flow{ID: "f", Events: []journal.FlowEvent{
		event("1", "came;from #outside\n", "", "", "",
			journal.Reaction{Subscription: "pre-xmas/wrap", Outcome: journal.Done, Attempts: 3},
			journal.Reaction{Subscription: "note/write", Outcome: journal.Waiting},
			journal.Reaction{Subscription: "bare", Outcome: journal.Dropped, Error: "not ours"},
		),
		event("3", "pre-xmas.second", "pre-xmas", "1", "pre-xmas/wrap", journal.Reaction{Subscription: "note/write", Outcome: journal.Blocked}),
		event("2", "pre-xmas.first", "pre-xmas", "1", "pre-xmas/wrap"),
		event("4", "lost.cause", "note", "elsewhere", "note/write", journal.Reaction{Subscription: "bus/unknown", Outcome: journal.Dead}),
		event("5", "note.circle", "note", "6", "note/turn", journal.Reaction{Subscription: "note/turn", Outcome: journal.Done}),
		event("6", "note.circle", "note", "5", "note/turn", journal.Reaction{Subscription: "note/turn", Outcome: journal.Done}),
	}, Delayed: []journal.DelayedEvent{
		{ID: "7", Type: "pre-xmas.third", CausationID: "1", Subscription: "pre-xmas/wrap"}, {ID: "8", Type: "own.timer"},
	}}
	f.Events[2].Version = 2
	return f
}

func TestGoldenOfEverything(t *testing.T) {
	t.Parallel()
	bustest.FlowOf(t, everything()).Golden(t, "sub/everything")
}

func TestGoldenDiffers(t *testing.T) {
	t.Parallel()
	f := everything()
	f.Events[1].Type = "pre-xmas.other"
	f.Events[0].Reactions[1].Outcome = journal.Done
	f.Events = append(f.Events, journal.FlowEvent{EventRecord: journal.EventRecord{ID: "9", Type: "note.end", Version: 1, Source: "note"}})
	got := listen(t, func(tb testing.TB) { bustest.FlowOf(t, f).Golden(tb, "sub/everything") })
	want := filepath.Join("testdata", "sub", "everything.mmd") + `: flow f differs from the file (- file, + flow)
  …
      participant bus
      outside-xbare: came#59;from #35;outside  (bare: dropped)
-     outside-->>note_: came#59;from #35;outside  (write: waiting)
+     outside->>note_: came#59;from #35;outside  (write)
      outside->>pre_xmas: came#59;from #35;outside  (wrap)
-     pre_xmas-->>note_: pre-xmas.second (write: blocked)
+     pre_xmas-->>note_: pre-xmas.other (write: blocked)
      pre_xmas->>outside: pre-xmas.first v2
      Note over pre_xmas: pre-xmas.third is to come
      note_-xbus: lost.cause (unknown: dead)
+     note_->>outside: note.end
      Note over outside: own.timer is to come
      note_->>note_: note.circle (turn)
  …
If the change is intended, run in the folder of the test: go test -run '^TestGoldenDiffers$' -update`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestGoldenIsNotThere(t *testing.T) {
	t.Parallel()
	got := listen(t, func(tb testing.TB) { bustest.FlowOf(t, &journal.Flow{ID: "f"}).Golden(tb, "none") })
	want := filepath.Join("testdata", "none.mmd") + " does not exist yet. If the change is intended, run in the folder of the test: " +
		"go test -run '^TestGoldenIsNotThere$' -update\nsequenceDiagram\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// update sets -update until the test ends. Tests that call it are not parallel, so that no other one sees it.
func update(t *testing.T) {
	t.Helper()
	before := flag.Lookup("update").Value.String()
	set := func(value string) {
		if err := flag.Set("update", value); err != nil {
			t.Fatal(err)
		}
	}
	set("true")
	t.Cleanup(func() { set(before) })
}

func TestGoldenIsUpdated(t *testing.T) {
	t.Chdir(t.TempDir())
	f := everything()
	t.Run("write", func(t *testing.T) {
		update(t)
		if got := listen(t, func(tb testing.TB) { bustest.FlowOf(t, f).Golden(tb, "a/new") }); got != "" {
			t.Errorf("a new one: %s", got)
		}
		f.Events[1].Type = "renamed"
		got := listen(t, func(tb testing.TB) { bustest.FlowOf(t, f).Golden(tb, "a/new") })
		if !strings.HasPrefix(got, "log: ") || !strings.Contains(got, "\n+     pre_xmas-->>note_: renamed (write: blocked)\n") {
			t.Errorf("another one: %s", got)
		}
	})
	if flag.Lookup("update").Value.String() == "true" {
		return // nothing is compared then
	}
	path := filepath.Join("testdata", "a", "new.mmd")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "\n", "\r\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	bustest.FlowOf(t, f).Golden(t, "a/new")
}
