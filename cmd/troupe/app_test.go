package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/bus"
)

func TestAnotherProgramRuns(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "desk.db")
	c := &clinic{}
	log := &syncedLog{}
	out, stop, ended := startApp(t, c.app(), log, "run", "--json", "--journal", path, "--http", "127.0.0.1:0", "--insurer-url", "https://other.example")
	var said announcement
	if err := json.NewDecoder(out).Decode(&said); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	if said.Name != "all" || !slices.Equal(said.Modules, []string{"bills", "visits"}) || said.Journal != path {
		t.Errorf("announced %+v", said)
	}
	r := &running{url: said.URL, stop: stop, ended: ended, log: log}
	got := r.MustAsk(t, "POST", "/visits/ada", "", http.StatusAccepted)
	if got["at"] != "all" || got["flow"] == "" {
		t.Errorf("answer %v", got)
	}
	flows := MustGet[[]struct{ Events []struct{ Type string } }](t, r, "/-/flows/"+got["flow"].(string)+"?wait=30s", http.StatusOK)
	if len(flows) != 1 || len(flows[0].Events) != 2 || flows[0].Events[1].Type != "bills.paid" {
		t.Errorf("flows %+v", flows)
	}
	r.MustAsk(t, "GET", "/readyz", "", http.StatusOK)
	if p := r.MustAsk(t, "POST", "/visits/ada", "", http.StatusInternalServerError); strings.Contains(fmt.Sprint(p), "UNIQUE") {
		t.Errorf("a client is told %v", p)
	}
	if !strings.Contains(log.String(), "UNIQUE") {
		t.Errorf("the log does not say what was wrong:\n%s", log)
	}
	r.MustStopInTrouble(t)
	if c.opened != 1 || c.closed != 1 || c.asked != "https://other.example" {
		t.Errorf("opened %d times with %s, closed %d times", c.opened, c.asked, c.closed)
	}
	wantOutput(t, c.run(t.Context(), "trace", "ada", "--journal", path), 0, "visits.visited  ada", "bills/claim  done")
	wantOutput(t, c.run(t.Context(), "split", "--check", "--modules", "bills", "--journal", path), 0, "bills.paid, version 1, from bills to visits")
}

func TestSettingsOfAnotherProgram(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("CLINIC_INSURER_KEY", "hunter2")
	t.Setenv("TROUPE_INSURER_URL", "https://wrong.example") // of another program
	if err := os.WriteFile("clinic.yaml", []byte("insurer: {url: 'https://file.example'}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"", "--json"} {
		ran := (&clinic{}).run(t.Context(), strings.Fields("config "+format)...)
		wantOutput(t, ran, 0, "insurer.url", "https://file.example", "insurer.key", "(set)", "CLINIC_INSURER_KEY", "clinic.db")
		if strings.Contains(ran.stdout+ran.stderr, "hunter2") {
			t.Errorf("config %s prints the secret: %s", format, ran.stdout)
		}
	}
	ran := (&clinic{}).run(t.Context(), "config", "--insurer-key", "hunter3")
	wantOutput(t, ran, exitUsage, "CLINIC_INSURER_KEY")
	if strings.Contains(ran.err.Error(), "hunter") {
		t.Errorf("the error has the secret: %v", ran.err)
	}
	c := &clinic{}
	wantOutput(t, c.run(t.Context(), "receive", "ada"), 0, "received 1, right true", "clinic verify\n")
	if c.asked != "https://file.example" || string(c.settings.Key) != "hunter2" || c.opened != 1 || c.closed != 1 {
		t.Errorf("a command of the program's own has %q, opened %d times, closed %d times", c.asked, c.opened, c.closed)
	}
	t.Setenv("CLINIC_INSURER_ANSWERS", "perhaps")
	for _, command := range []string{"receive ada", "run", "config"} {
		wantOutput(t, c.run(t.Context(), strings.Fields(command)...), exitUsage, "CLINIC_INSURER_ANSWERS", "clinic config --help")
	}
}

func TestVerifyOfAnotherProgram(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "desk.db")
	c := &clinic{}
	wantOutput(t, c.run(t.Context(), "verify", "--journal", path), exitWrong, "there is no journal yet")
	wantOutput(t, c.run(t.Context(), "receive", "ada", "bob", "--journal", path), 0, "received 2, right true", "clinic verify --journal "+path)
	wantOutput(t, c.run(t.Context(), "verify", "--journal", path), 0, "books    right", "everything adds up")
	v := mustUnmarshal[struct{ OK, Settled bool }](t, c.run(t.Context(), "receive", "cy", "--json", "--journal", path))
	if !v.OK || !v.Settled {
		t.Errorf("Call.Verify: %+v", v)
	}

	const later = `INSERT INTO delayed (due_at, event_id, type, version, source, key, correlation_id, causation_id, subscription, hops, data)
		VALUES (1 << 52, 'd', 'visits.visited', 1, 'visits', 'dan', 'f', '', '', 0, x'7b7d')`
	MustChange(t, path, later)
	MustChange(t, path, "UPDATE visits_patients SET paid = 0 WHERE name = 'bob'")
	ran := c.run(t.Context(), "verify", "--journal", path)
	wantOutput(t, ran, 0, "books    not checked: ", "unanswered or delayed", "open     1 delayed", "the books were not checked")
	wantOutput(t, c.run(t.Context(), "verify", "--strict", "--journal", path), exitWrong, "the books were not checked: some events are unanswered or delayed")
	if strings.Contains(ran.stdout, "bob") || strings.Contains(ran.stdout, "everything") {
		t.Errorf("rules that hold once all is settled were held before:\n%s", ran.stdout)
	}
	MustChange(t, path, "DELETE FROM delayed")
	wantOutput(t, c.run(t.Context(), "verify", "--journal", path), exitWrong, "wrong    bob has not paid", "1 wrong")
	wrong := mustUnmarshal[struct {
		OK    bool
		Wrong []string
	}](t, c.run(t.Context(), "verify", "--json", "--journal", path))
	if wrong.OK || !slices.Equal(wrong.Wrong, []string{"bob has not paid"}) {
		t.Errorf("as JSON: %+v", wrong)
	}

	a := c.app()
	a.Books.Tables = func(context.Context, func(string) bus.SQL, bool) (r troupe.Report, err error) { return r, nil }
	MustChange(t, path, later)
	wantOutput(t, runApp(t.Context(), a, "verify", "--strict", "--journal", path), 0, "books    right")
	MustChange(t, path, "DELETE FROM delayed")
	a.Books = troupe.Books{}
	a.Verify = nil
	wantOutput(t, runApp(t.Context(), a, "verify", "--journal", path), 0, "not checked: clinic has no rules", "the journal adds up")
	a.Verify = func(ctx context.Context, tables func(string) bus.SQL) ([]string, error) { return nil, os.ErrPermission }
	wantOutput(t, runApp(t.Context(), a, "verify", "--journal", path), exitWrong, "the books: ", os.ErrPermission.Error())
}

// After modules have moved, the rules are checked over the tables of all journals.
func TestVerifyAnotherProgramAcrossJournals(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path, bills := filepath.Join(folder, "desk.db"), filepath.Join(folder, "bills.db")
	c := &clinic{}
	wantOutput(t, c.run(t.Context(), "receive", "ada", "--journal", path), 0)
	wantOutput(t, c.run(t.Context(), "split", "--modules", "bills", "--journal", path, "--into", bills), 0, "clinic run --modules bills --transport kafka")
	wantOutput(t, c.run(t.Context(), "verify", "--grace", "0", "--journal", path, "--journal", bills), 0, "books    right", "everything adds up")
	MustChange(t, path, "UPDATE visits_patients SET paid = 0")
	wantOutput(t, c.run(t.Context(), "verify", "--grace", "0", "--journal", path, "--journal", bills), exitWrong, "ada has not paid")
}

func TestAnotherProgramLeavesTheShopAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.db")
	MustReport(t, "demo", "--orders", "3", "--journal", path)
	before := mustRead(t, path)
	c := &clinic{}
	for _, args := range [][]string{{"run", "--http", "127.0.0.1:0"}, {"receive", "ada"}} {
		ran := c.run(t.Context(), append(args, "--journal", path)...)
		wantOutput(t, ran, exitWrong, "it is a journal of troupe, and this is clinic", "run troupe on it")
	}
	if string(mustRead(t, path)) != string(before) || c.opened > 0 {
		t.Errorf("a refused program has written into the journal, or opened something (%d)", c.opened)
	}
	wantOutput(t, c.run(t.Context(), "verify", "--journal", path), 0, "not checked: only troupe knows them; this is clinic")
}

// ours is a name of this project, where a program's own should be. The variable is that of package bustest, whichever
// program it tests.
var ours = regexp.MustCompile(`(?i)troupe(_[A-Z]+)?`)

func TestHelpSpeaksOfTheProgram(t *testing.T) {
	t.Parallel()
	c := &clinic{}
	var walk func(words []string)
	seen := 0
	walk = func(words []string) {
		seen++
		ran := c.run(t.Context(), append(slices.Clone(words), "--help")...)
		wantOutput(t, ran, 0, "clinic")
		help := strings.ReplaceAll(ran.stdout+ran.stderr, "//troupe:allow", "") // the comment is the same in all programs
		for _, found := range ours.FindAllString(help, -1) {
			if found != "TROUPE_COVER" {
				t.Errorf("the help of clinic %s says %q:\n%s", strings.Join(words, " "), found, ran.stdout)
			}
		}
		if left := regexp.MustCompile(`\{[A-Za-z]+\}`).FindString(ran.stdout); left != "" {
			t.Errorf("the help of clinic %s has %q", strings.Join(words, " "), left)
		}
		_, list, _ := strings.Cut(ran.stdout, "Available Commands:\n")
		list, _, _ = strings.Cut(list, "\n\n")
		for line := range strings.Lines(list) {
			if name := strings.Fields(line); len(name) > 0 && name[0] != "help" {
				walk(append(slices.Clone(words), name[0]))
			}
		}
	}
	walk(nil)
	if seen < 20 {
		t.Errorf("%d commands were looked at", seen)
	}
	wantOutput(t, c.run(t.Context(), "help"), 0, "receive", "greet", "clinic receive ADA", "runs a clinic")
	wantOutput(t, c.run(t.Context(), "receive", "--help"), 0, "clinic receive PATIENT...", "clinic receive has patients come", "--most", "--journal", "defaults to the journal of the settings")
	if ran := c.run(t.Context(), "greet", "--help"); strings.Contains(ran.stdout, "--journal") {
		t.Errorf("a command without modules has a journal:\n%s", ran.stdout)
	}
}

// TestJournalOfACommand: the settings name the journal of a command. Settings of several deployables name none.
func TestJournalOfACommand(t *testing.T) {
	c, folder := &clinic{}, t.TempDir()
	t.Setenv("CLINIC_JOURNAL", filepath.Join(folder, "other.db"))
	wantOutput(t, c.run(t.Context(), "receive", "ada"), 0, "received 1", "other.db")
	t.Setenv("CLINIC_TRANSPORT", "kafka")
	t.Setenv("CLINIC_KAFKA_BROKERS", "127.0.0.1:1")
	wantOutput(t, c.run(t.Context(), "receive", "bob"), exitUsage, "deployables with transport kafka", "--journal")
	wantOutput(t, c.run(t.Context(), "receive", "bob", "--journal", filepath.Join(folder, "other.db")), 0, "received 1")
}

func TestCommandsOfAnotherProgram(t *testing.T) {
	t.Parallel()
	c := &clinic{}
	none := filepath.Join(t.TempDir(), "none.db")
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"greet"}, 0, "hello"},
		{[]string{"greet", "you"}, exitUsage, "clinic greet --help"},
		{[]string{"gret"}, exitUsage, `unknown command "gret"`},
		{[]string{"greet", "--loud"}, exitUsage, "unknown flag: --loud"},
		{[]string{"--loud"}, exitUsage, "see 'clinic --help'"},
		{[]string{"demo"}, exitUsage, `unknown command "demo"`},
		{[]string{"receive", "--journal", none}, exitUsage, "receive: there are 0 patients: want 1 to 3"},
		{[]string{"receive", "a", "b", "--most", "1", "--journal", none}, exitUsage, "there are 2 patients"},
		{[]string{"receive", "a", "--most", "many", "--journal", none}, exitUsage, "invalid argument"},
		{[]string{"run", "--insurer-answers=perhaps"}, exitUsage, "insurer"},
	} {
		wantOutput(t, c.run(t.Context(), tt.args...), tt.code, tt.says)
	}
	if _, err := os.Stat(none); err == nil || c.opened > 0 {
		t.Errorf("a refused command has opened a journal, or something else (%d)", c.opened)
	}
}

// A mistake that only the programmer can repair is a panic at the start, with the name of the program.
func TestMistakesInAnApp(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "clinic.db")
	route := func(pattern string) func(a *troupe.App[*reception]) {
		return func(a *troupe.App[*reception]) {
			a.HTTP = func(mux *http.ServeMux, _ *reception, _ *troupe.Deployable) { mux.HandleFunc(pattern, http.NotFound) }
		}
	}
	run := []string{"run", "--http", "127.0.0.1:0", "--journal", path}
	command := func(name string) func(a *troupe.App[*reception]) {
		return func(a *troupe.App[*reception]) {
			a.Commands = append(a.Commands, troupe.Command[*reception]{Name: name, Run: func(context.Context, *troupe.Call[*reception]) error { return nil }})
		}
	}
	for name, tt := range map[string]struct {
		change func(a *troupe.App[*reception])
		args   []string
		says   string
	}{
		"health":       {route("/healthz"), run, `"/healthz"`},
		"metrics":      {route("POST /metrics"), run, `"POST /metrics"`},
		"below /-/":    {route("GET /-/x"), run, `"GET /-/x"`},
		"two commands": {command("greet"), []string{"greet"}, `"greet" twice`},
		"a built-in":   {command("verify"), []string{"greet"}, `"verify" twice`},
		"a bad name":   {func(a *troupe.App[*reception]) { a.Name = "The Clinic" }, []string{"config"}, "The Clinic"},
		"no wiring":    {func(a *troupe.App[*reception]) { a.Wire = nil }, []string{"config"}, "Wire is missing"},
		"bad settings": {func(a *troupe.App[*reception]) { a.Settings = new(int) }, []string{"config"}, "struct"},
	} {
		t.Run(name, func(t *testing.T) {
			a := (&clinic{}).app()
			tt.change(&a)
			said := func() (said string) {
				defer func() {
					if v := recover(); v != nil {
						said = fmt.Sprint(v)
					}
				}()
				ran := runApp(t.Context(), a, tt.args...)
				return fmt.Sprint("no panic: ", ran.err)
			}()
			if !strings.Contains(said, tt.says) || !strings.Contains(said, "app "+a.Name) {
				t.Errorf("panic %q, want %q", said, tt.says)
			}
		})
	}
}
