package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe"
)

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
