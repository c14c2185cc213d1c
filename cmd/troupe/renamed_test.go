package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/bus"
)

// garage is a program without a module of MustHaveClinic's journal.
func garage() troupe.App[*reception] {
	a, c := (&clinic{}).app(), &clinic{}
	a.Name, a.Wire = "garage", func(b *bus.Bus) *reception {
		bus.On(b.Module("bay"), "lift", func(context.Context, visited) (bus.Events, error) { return nil, nil })
		return &reception{b.Module("cars").Emits(visited{})}
	}
	a.Settings, a.Open, a.Verify = &c.settings, c.open, nil
	return a
}

// surgery is the clinic after it was renamed.
func surgery() troupe.App[*reception] {
	a := (&clinic{}).app()
	a.Name = "surgery"
	return a
}

func TestARenamedProgramAdoptsItsJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "desk.db")
	wantOutput(t, (&clinic{}).run(t.Context(), "receive", "ada", "--journal", path), 0)
	for _, command := range []string{"run --http 127.0.0.1:0", "receive bob"} {
		ran := runApp(t.Context(), surgery(), append(strings.Fields(command), "--journal", path)...)
		wantOutput(t, ran, exitWrong, "it is a journal of clinic, and this is surgery", "run clinic on it", "'surgery run --adopt --journal "+path+"' makes it one of surgery for good")
	}
	log := &syncedLog{}
	out, stop, ended := startApp(t, surgery(), log, "run", "--adopt", "--json", "--journal", path, "--http", "127.0.0.1:0")
	var said announcement
	if err := json.NewDecoder(out).Decode(&said); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	r := &running{url: said.URL, stop: stop, ended: ended, log: log}
	r.MustAsk(t, "GET", "/readyz", "", http.StatusOK)
	r.MustStop(t)
	wantOutput(t, runApp(t.Context(), surgery(), "receive", "bob", "--journal", path), 0)
	wantOutput(t, (&clinic{}).run(t.Context(), "receive", "cy", "--journal", path), exitWrong, "it is a journal of surgery")
}

// A start that fails after the journal is open has adopted nothing.
func TestARefusedStartAdoptsNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "desk.db")
	wantOutput(t, (&clinic{}).run(t.Context(), "receive", "ada", "--journal", path), 0)
	MustChange(t, path, "UPDATE identity SET carrier = 'kafka'; DELETE FROM subscriptions WHERE name = 'bills/claim'")
	ran := runApp(t.Context(), surgery(), "run", "--adopt", "--journal", path, "--http", "127.0.0.1:0")
	wantOutput(t, ran, exitWrong, "never ran bills")
	MustChange(t, path, "UPDATE identity SET carrier = ''")
	wantOutput(t, (&clinic{}).run(t.Context(), "receive", "bob", "--journal", path), 0)
}

// Only the plain troupe changes a journal of another program.
func TestAnotherProgramChangesNothing(t *testing.T) {
	t.Parallel()
	journal, err := os.ReadFile(MustHaveClinic(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range onForeign {
		t.Log(f.line)
		folder := t.TempDir()
		path := filepath.Join(folder, "clinic.db")
		if err := os.WriteFile(path, journal, 0o600); err != nil {
			t.Fatal(err)
		}
		args := strings.Fields(strings.NewReplacer("JOURNAL", path, "OTHER", filepath.Join(folder, "other.db"), "INVOICES", path+".csv").Replace(f.line))
		ran := runApp(t.Context(), garage(), args...)
		if act := acting.FindString(f.line); act != "" && !strings.Contains(f.line, "--dry-run") && !strings.Contains(f.line, "--check") && !strings.Contains(f.line, "--list") {
			wantOutput(t, ran, exitWrong, "clinic.db is a journal of clinic, and this is garage: use '"+act+"' of clinic, or of the plain troupe")
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != string(journal) {
			t.Errorf("%s has changed the journal (%v)", f.line, err)
		}
		if left, err := os.ReadDir(folder); err != nil || ran.err != nil && len(left) != 1 {
			t.Errorf("%s has failed, and has left %v (%v)", f.line, left, err)
		}
	}
	path, shop := filepath.Join(t.TempDir(), "desk.db"), filepath.Join(t.TempDir(), "shop.db")
	wantOutput(t, (&clinic{}).run(t.Context(), "receive", "ada", "--journal", path), 0)
	wantOutput(t, MustRunCommand(t, "demo", "--journal", shop, "--orders", "1"), 0)
	wantOutput(t, (&clinic{}).run(t.Context(), "merge", "--from", shop, "--journal", path), exitWrong, "is a journal of troupe, and this is clinic")
	wantOutput(t, runApp(t.Context(), garage(), "resend", "--journal", shop), exitWrong, "use 'resend' of troupe, which works on every journal")
}

// acting matches the commands that change a journal.
var acting = regexp.MustCompile(`^(split|merge|resend|dlq (replay|drop|retry))`)

func TestCheckReportsTheWiring(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "clinic.yaml")
	if err := os.WriteFile(path, []byte("journal: clinic.db\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := (&clinic{}).app()
	wantOutput(t, runApp(t.Context(), a, "check", path), 0, "the deployables fit together")
	a.Wire = func(b *bus.Bus) *reception { return &reception{b.Module("visits").Emits(visited{})} }
	wantOutput(t, runApp(t.Context(), a, "check", path), exitWrong, "visits.visited", "has no consumer")
}
