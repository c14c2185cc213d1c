package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// foreign is a command line on the journal JOURNAL, which is of another program, clinic. OTHER is a path without a file.
type foreign struct {
	line string
	code int
	says []string
}

// onForeign has every command that takes a journal. It tells the truth, or an error that names the right binary. A
// command that fails changes and leaves nothing.
var onForeign = []foreign{
	{"run --journal JOURNAL --http 127.0.0.1:0", exitWrong, []string{"it is a journal of clinic, and this is troupe", "run clinic on it"}},
	{"demo --journal JOURNAL --orders 1", exitWrong, []string{"it is a journal of clinic, and this is troupe", "run clinic on it"}},
	{"import --journal JOURNAL INVOICES", exitWrong, []string{"it is a journal of clinic, and this is troupe", "run clinic on it"}},
	{"observe --journal JOURNAL --http 127.0.0.1:0 --transport kafka --brokers 127.0.0.1:1", exitWrong,
		[]string{"it is a journal of clinic, and this is troupe", "run clinic on it"}},
	{"trace ada --journal JOURNAL", 0, []string{"test.sent", "visits/note", "bills/claim", "dead"}},
	{"events --journal JOURNAL", 0, []string{"test.sent", "ada"}},
	{"verify --journal JOURNAL", 0, []string{"books    not checked: only clinic knows them", "the journal adds up; the books were not checked"}},
	{"dlq list --journal JOURNAL", 0, []string{"bills/claim", "insurer away"}},
	{"dlq list --causes --journal JOURNAL", 0, []string{"bills/claim", "insurer away"}},
	{"dlq show 1 --journal JOURNAL", 0, []string{"dead letter   1 of bills/claim, dead", "insurer away"}},
	{"dlq replay 1 --journal JOURNAL", 0, []string{"1 dead letter: to be replayed when clinic next runs"}},
	{"dlq drop 1 --reason test --journal JOURNAL", 0, []string{"1 dead letter: dropped"}},
	{"dlq replay 9 --journal JOURNAL", exitWrong, []string{"no dead letter 9"}},
	{"dlq drop 9 --reason test --journal JOURNAL", exitWrong, []string{"no dead letter 9"}},
	{"dlq drop --subscription bills/claim --reason test --journal JOURNAL", 0, []string{"1 dead letter: dropped"}},
	{"dlq drop --subscription no/such --reason test --journal JOURNAL", exitWrong, []string{"no dead letter fits"}},
	{"dlq retry --all --journal JOURNAL", exitWrong, []string{"none waits for an attempt"}},
	{"resend --journal JOURNAL", 0, []string{"nothing is to be sent again"}},
	{"retire bills/claim --reason test --journal JOURNAL", 0, []string{"bills/claim is retired; given up: 0 waiting, 0 retrying, 0 blocked, 1 dead letter"}},
	{"split --check --journal JOURNAL", 0, []string{"to run apart   bills, visits, of clinic", "test.sent, version 1, from visits to bills"}},
	{"split --check --modules payment --journal JOURNAL", exitUsage, []string{"there are bills, visits"}},
	{"split --list --journal JOURNAL", 0, []string{"no move has left anything"}},
	{"split --modules bills --into OTHER --dry-run --journal JOURNAL", 0, []string{"nothing was done"}},
	{"split --modules payment --into OTHER --journal JOURNAL", exitWrong, []string{"payment"}},
	{"split --modules bills --into OTHER --journal JOURNAL", 0, []string{"next: run clinic with bills on", "run clinic with visits on"}},
	{"split --undo --journal JOURNAL", exitWrong, []string{"undo"}},
	{"merge --undo --journal JOURNAL", exitWrong, []string{"undo"}},
	{"split --modules bills --into INVOICES --journal JOURNAL", exitWrong, []string{"file exists", "name another one"}},
	{"merge --from OTHER --journal JOURNAL", exitWrong, []string{"there is no journal at"}},
	{"merge --from INVOICES --journal JOURNAL", exitWrong, []string{"not an SQLite database"}},
}

// withoutJournal are the commands that take no journal.
var withoutJournal = []string{"config", "check", "broker", "cover", "vet", "bench", "new", "completion", "help"}

func TestEveryCommandOnAForeignJournal(t *testing.T) {
	t.Parallel()
	clinic, err := os.ReadFile(MustHaveClinic(t))
	if err != nil {
		t.Fatal(err)
	}
	invoices := MustWriteCSV(t, "3000,A,1,1.00")
	for _, f := range onForeign {
		t.Log(f.line)
		folder := t.TempDir()
		path := filepath.Join(folder, "clinic.db")
		if err := os.WriteFile(path, clinic, 0o600); err != nil {
			t.Fatal(err)
		}
		words := strings.NewReplacer("JOURNAL", path, "OTHER", filepath.Join(folder, "other.db"), "INVOICES", invoices)
		args := strings.Fields(words.Replace(f.line))
		ran := MustRunCommand(t, args[0], args[1:]...)
		wantOutput(t, ran, f.code, f.says...)
		for _, untrue := range []string{"everything adds up", "right", "inventory", "shop"} {
			if strings.Contains(ran.stdout, untrue) {
				t.Errorf("%s says %q of a journal of another program:\n%s", f.line, untrue, ran.stdout)
			}
		}
		if f.code == 0 {
			continue
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != string(clinic) {
			t.Errorf("%s has failed, and has changed the journal (%v)", f.line, err)
		}
		if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
			t.Errorf("%s has failed, and has left %v (%v)", f.line, left, err)
		}
	}
}

// The table above has every command that the help lists.
func TestTheTableOfForeignJournalsIsComplete(t *testing.T) {
	t.Parallel()
	for prefix, help := range map[string]string{"": "help", "dlq ": "dlq"} {
		ran := MustRunCommand(t, help)
		wantOutput(t, ran, 0, "Available Commands:")
		_, list, _ := strings.Cut(ran.stdout, "Available Commands:\n")
		list, _, _ = strings.Cut(list, "\n\n")
		commands := regexp.MustCompile(`(?m)^  ([a-z-]+)`).FindAllStringSubmatch(list, -1)
		if len(commands) < 5 {
			t.Fatalf("%s lists %v", help, commands)
		}
		for _, c := range commands {
			name := prefix + c[1]
			tested := slices.ContainsFunc(onForeign, func(f foreign) bool { return strings.HasPrefix(f.line, name+" ") })
			if !tested && !slices.Contains(withoutJournal, name) {
				t.Errorf("command %s is not in the table of commands on a journal of another program", name)
			}
		}
	}
}
