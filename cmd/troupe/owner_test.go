package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/transports/sqlite"
)

// parcel is the event of another program.
type parcel struct {
	Key string `json:"key"`
	N   int    `json:"n"`
}

func (parcel) EventType() string  { return "test.sent" }
func (e parcel) EventKey() string { return e.Key }

// MustHaveClinic returns the journal of another program, with two modules, an event and a dead letter.
func MustHaveClinic(tb testing.TB) (path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "clinic.db")
	wire := func(b *bus.Bus) *bus.Module {
		visits, bills := b.Module("visits").Emits(parcel{}), b.Module("bills")
		bus.On(visits, "note", func(context.Context, parcel) (bus.Events, error) { return nil, nil })
		bus.On(bills, "claim", func(context.Context, parcel) (bus.Events, error) { return nil, bus.Dead(errors.New("insurer away")) })
		return visits
	}
	declared := bus.New(nil, bus.Config{})
	wire(declared)
	j, err := sqlite.Open(tb.Context(), path, sqlite.Config{Logger: slog.New(slog.DiscardHandler), Program: declared.Wiring().Program("clinic", "1.0")})
	if err != nil {
		tb.Fatal(err)
	}
	b := bus.New(j, bus.Config{Logger: slog.New(slog.DiscardHandler)})
	visits := wire(b)
	ctx, cancel := context.WithCancel(tb.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	<-b.Running()
	_, err = visits.Publish(tb.Context(), parcel{Key: "ada", N: 1})
	err = errors.Join(err, b.Quiet(tb.Context()))
	cancel()
	if err := errors.Join(err, <-ended, j.Close()); err != nil {
		tb.Fatal(err)
	}
	return path
}

// The shop's program does not touch another program's journal, and names its owner.
func TestRunRefusesAnotherProgramsJournal(t *testing.T) {
	path := MustHaveClinic(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, ran := range map[string]ranCommand{
		"run":    MustRunCommand(t, "run", "--journal", path, "--http", "127.0.0.1:0"),
		"adopt":  MustRunCommand(t, "run", "--adopt", "--journal", path, "--http", "127.0.0.1:0"),
		"demo":   MustRunCommand(t, "demo", "--journal", path, "--orders", "1"),
		"import": MustRunCommand(t, "import", "--journal", path, MustWriteCSV(t, "3000,A,1,1.00")),
	} {
		t.Log(name)
		wantOutput(t, ran, exitWrong, "it is a journal of clinic, and this is troupe", "(bills, visits): run clinic on it, or name another file")
		if strings.Contains(ran.stderr, "--adopt") {
			t.Errorf("%s advises to adopt a journal without a module of the shop: %s", name, ran.stderr)
		}
	}
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(before) {
		t.Errorf("a refused program has written into the journal (%v)", err)
	}
}

// Commands that need no handlers work on any journal, and claim nothing about parts that only the owner's program
// knows.
func TestCommandsOnAnotherProgramsJournal(t *testing.T) {
	path := MustHaveClinic(t)
	wantOutput(t, MustRunCommand(t, "trace", "ada", "--journal", path), 0, "bills/claim", "dead")
	ran := MustRunCommand(t, "verify", "--journal", path)
	wantOutput(t, ran, 0, "not checked: only clinic knows them", "the journal adds up; the books were not checked")
	if strings.Contains(ran.stdout, "everything") || strings.Contains(ran.stdout, "shop") {
		t.Errorf("verify claims what it has not looked at:\n%s", ran.stdout)
	}
	wantOutput(t, MustRunCommand(t, "split", "--check", "--journal", path), 0, "to run apart   bills, visits, of clinic", "test.sent, version 1, from visits to bills")
	wantOutput(t, MustRunCommand(t, "split", "--check", "--journal", path, "--modules", "payment"), exitUsage, "there are bills, visits")
	wantOutput(t, MustRunCommand(t, "dlq replay", "--all", "--journal", path), 0, "when clinic next runs")
	into := filepath.Join(t.TempDir(), "bills.db")
	split := MustRunCommand(t, "split", "--journal", path, "--modules", "bills", "--into", into)
	wantOutput(t, split, 0, "next: run clinic with bills on "+into, "run clinic with visits on "+path)
	if !strings.Contains(split.stderr, "belongs to clinic: files of clinic beside the journal do not move") {
		t.Errorf("split warns %q", split.stderr)
	}
	wantOutput(t, MustRunCommand(t, "verify", "--journal", path, "--journal", into), 0, "the journal adds up; the books were not checked")
	wantOutput(t, MustRunCommand(t, "merge", "--journal", path, "--from", into), 0, "next: run clinic with bills, visits on "+path)
	shop := filepath.Join(t.TempDir(), "shop.db")
	wantOutput(t, MustRunCommand(t, "demo", "--journal", shop, "--orders", "1"), 0)
	wantOutput(t, MustRunCommand(t, "verify", "--journal", path, "--journal", shop), exitWrong, "belongs to clinic, and", "to troupe")
}
