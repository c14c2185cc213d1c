package cli_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/internal/cli"
	"github.com/troupebus/troupe/transports/sqlite"
)

// What nobody can read, or knows, is a dead letter in each deployable that takes it in: the observer shows those of
// each, with what people did with them there; and the event that a message became when it was replayed.
func TestObserverShowsWhatTheBusesHaveForThemselves(t *testing.T) {
	t.Parallel()
	runDiner(t, true, func(d *dinerShape) {
		d.broker.Write("waiter", []byte("k"), map[string]string{"ce_id": "half"}, []byte("no event"))
		head := map[string]string{"ce_specversion": "2.0", "ce_id": "later", "ce_type": "cook.cooked", "ce_source": "cook", "ce_subject": "k", "content-type": "application/json"}
		d.broker.Write("cook", []byte("k"), head, []byte(`{"Table": "k", "Dish": "later"}`))
		head["ce_specversion"], head["ce_id"], head["ce_type"] = "1.0", "strange", "cook.sang"
		d.broker.Write("cook", []byte("k"), head, []byte(`{"song": "o sole mio"}`))
		head["ce_id"], head["ce_type"], head["ce_source"] = "forged", "cook.cooked", "waiter"
		d.broker.Write("cook", []byte("k"), head, []byte(`{"Table": "k", "Dish": "forged"}`))
		d.rest(0)
		wantLettersOfOwners(d, "bus/ingest@ dead, bus/ingest@ dead, bus/ingest@ dead, bus/unknown@ dead")

		d.act(sqlite.Replay, "bus/unknown", "", "perhaps now")
		d.actOn("cook", sqlite.Drop, "bus/ingest", "garbage")
		wantLettersOfOwners(d, "bus/ingest@ dead, bus/ingest@ dead, bus/ingest@ dropped, bus/unknown@ dead")
		d.act(sqlite.Drop, "bus/unknown", "k", "we do not sing")

		// As a newer program would, all can read the message from now on.
		for _, path := range []string{d.owner("waiter"), d.path()} {
			MustChange(d.T(), path, `UPDATE events SET metadata = json_replace(metadata, '$.ce_specversion', '1.0') WHERE type = 'bus.undecoded' AND data LIKE '%later%'`)
		}
		d.actOn("waiter", sqlite.Replay, "bus/ingest", "we can read it")
		wantLettersOfOwners(d, "bus/ingest@ dead, bus/ingest@ dropped, bus/ingest@ replayed, bus/unknown@ dropped")
		wantOutput(d.T(), MustRunCommand(d.T(), "trace", "later", "--journal", d.path()), 0, "flow later: 1 event", "waiter/bill  done", "waiter/serve  done")
		if v := MustRunCommand(d.T(), "verify", "--grace", "0s", "--journal", d.path()); strings.Contains(v.stdout, "in transit") || strings.Contains(v.stdout, "before the observer") {
			t.Errorf("verify says %s", v.stdout)
		}
	})
}

// actOn has a person do something with all dead letters of the bus's own where a module runs.
func (d *dinerShape) actOn(module string, do act, subscription, why string) {
	d.T().Helper()
	_, err := do(d.Context(), d.owner(module), sqlite.Act{Actor: "ada", Reason: why, Select: sqlite.DeadLetterFilter{Subscription: subscription}})
	if err != nil {
		d.T().Fatal(err)
	}
	d.Restart()
	d.rest(4 * time.Second)
}

// wantLettersOfOwners compares the observer's dead letters with those of the deployables, and with what is expected.
func wantLettersOfOwners(d *dinerShape, want string) {
	d.T().Helper()
	seen, have := letters(d, d.path()), append(letters(d, d.owner("waiter")), letters(d, d.owner("cook"))...)
	slices.Sort(seen)
	slices.Sort(have)
	if !slices.Equal(seen, have) {
		d.T().Errorf("the observer shows\n%s\nthe deployables have\n%s", strings.Join(seen, "\n"), strings.Join(have, "\n"))
	}
	var short []string
	for _, l := range seen {
		short = append(short, strings.Join(strings.Fields(l)[:2], " "))
	}
	if got := strings.Join(short, ", "); got != want {
		d.T().Errorf("dead letters: %s, want %s", got, want)
	}
}

// letters are all dead letters of a journal in words, but for the numbers that it gives, and what tells the buses
// apart.
func letters(d *dinerShape, path string) (all []string) {
	d.T().Helper()
	err := cli.ReadJournal(d.Context(), path, func(r *sqlite.Reader) error {
		found, err := r.DeadLetters(d.Context(), sqlite.DeadLetterFilter{})
		for _, l := range found {
			l, err := r.DeadLetter(d.Context(), l.ID)
			if err != nil {
				return err
			}
			l.ID, l.Event.Seq, l.Event.Time = 0, 0, time.Time{}
			name, _, _ := strings.Cut(l.Subscription, "@")
			l.Subscription = ""
			all = append(all, fmt.Sprintf("%s@ %s %+v", name, l.Status, *l))
		}
		return err
	})
	if err != nil {
		d.T().Fatal(err)
	}
	return all
}

// On the journal of an observer nothing is decided and nothing runs; and who tries is told where to.
func TestObserverSaysWhereElseToDoIt(t *testing.T) {
	t.Parallel()
	path := ""
	runDiner(t, true, func(d *dinerShape) {
		d.order("lost", "spoiled")
		d.order("richer", "dear")
		d.rest(4 * time.Second)
		path = d.path()
		wantOutput(d.T(), MustRunCommand(d.T(), "dlq", "show", "1", "--journal", path), 0, "replay or drop the dead letter on the journal of the deployable that runs cook/cook")
		before := letters(d, path)
		for says, args := range map[string][]string{
			"journal of an observer, which only looks on: name the journal of the deployable that runs cook/cook, where": {"replay", "1"},
			"that runs cook/cook, waiter/bill, where a dead letter has another number":                                   {"replay", "--all"},
			"that runs waiter/bill, where":                                    {"replay", "--subscription", "waiter/bill"},
			"that runs their subscription,":                                   {"replay", "99"},
			"; 'troupe dlq list --journal FILE' lists the dead letters there": {"drop", "1", "--reason", "r"},
		} {
			wantOutput(d.T(), MustRunCommand(d.T(), "dlq", append(args, "--journal", path)...), exitWrong, says)
		}
		if after := letters(d, path); !slices.Equal(after, before) {
			t.Errorf("the dead letters were\n%s\nand are\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
		}
	})
	other := filepath.Join(t.TempDir(), "other.db")
	for name, args := range map[string][]string{
		"own": nil, "run": {"--http", "127.0.0.1:0"}, "split": {"--modules", "payment", "--into", other},
	} {
		ran := MustRunCommand(t, name, append(args, "--journal", path)...)
		if wantOutput(t, ran, exitWrong, "the journal of an observer, which runs no"); t.Failed() {
			t.Fatal(name)
		}
	}
}
