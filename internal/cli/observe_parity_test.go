package cli_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli"
	"github.com/troupebus/troupe/internal/cli/clitest"
	"github.com/troupebus/troupe/transports/sqlite"
)

// tell tells a story in which everything becomes of events that can, and calls look with what has just happened.
func tell(d *dinerShape, look func(scene string)) {
	d.order("plain", "soup", "special", "free")
	d.order("hot", "hot", "bread")
	d.order("parked", "spoiled", "tea", "cake")
	d.order("lost", "spoiled", "tea")
	d.order("dear", "dear", "water")
	d.order("richer", "dear")
	d.order("poor", "dear")
	d.order("sour", "sour", "milk")
	d.rest(5 * time.Second)
	look("in trouble, and with events to come")

	d.act(sqlite.Drop, "cook/cook", "lost", "nobody eats it")
	look("a dead letter is dropped by a person")
	d.act(sqlite.Replay, "cook/cook", "parked", "smell again")
	d.act(sqlite.Replay, "waiter/bill", "dear", "ask again")
	look("replayed in vain")
	d.away(func() {
		d.act(sqlite.Replay, "waiter/bill", "dear", "ask once more")
		d.act(sqlite.Replay, "waiter/bill", "dear", "do ask")
		d.act(sqlite.Drop, "waiter/bill", "poor", "let them go")
	})
	look("replayed in vain and dropped while nobody could be told")

	d.renew(true)
	look("in a new version of the program")

	d.repaired.Store(true)
	d.act(sqlite.Replay, "cook/cook", "parked", "it is fresh now")
	d.act(sqlite.Replay, "waiter/bill", "", "they are rich")
	d.rest(20 * time.Minute)
	look("repaired")
	d.rest(time.Hour)
	look("what was delayed has come in part")
	d.rest(time.Hour)
	look("what was delayed has come")

	d.renew(false)
	look("in the old version again")
	d.rest(1000 * time.Hour)
	look("at the end")
}

// act is sqlite.Replay or sqlite.Drop.
type act func(context.Context, string, sqlite.Act) ([]journal.DeadLetter, error)

// act has a person do something with a subscription's dead letters of a key, or of all, where it runs.
func (d *dinerShape) act(do act, subscription, key, why string) {
	d.T().Helper()
	module, _, _ := strings.Cut(strings.Replace(subscription, "bus/unknown", "waiter/", 1), "/")
	a := sqlite.Act{Actor: "ada", Reason: why, Select: sqlite.DeadLetterFilter{Subscription: subscription}}
	err := cli.ReadJournal(d.Context(), d.owner(module), func(r *sqlite.Reader) error {
		letters, err := r.DeadLetters(d.Context(), sqlite.DeadLetterFilter{Subscription: subscription, Status: journal.LetterDead})
		for _, l := range letters {
			if key != "" && l.Event.Key == key {
				a.Select.IDs = append(a.Select.IDs, l.ID)
			}
		}
		return err
	})
	if err == nil {
		_, err = do(d.Context(), d.owner(module), a)
	}
	if err != nil {
		d.T().Fatal(err)
	}
	d.Restart()
	d.rest(4 * time.Second)
}

// The same business in one process, and in two deployables with an observer: every command says the same of it, at
// every time. So it does of an observer that comes when all has happened.
func TestObserverShowsTheSamePicture(t *testing.T) {
	t.Parallel()
	var want []picture
	runDiner(t, false, func(d *dinerShape) {
		tell(d, func(scene string) {
			want = append(want, paint(d, scene))
			d.anew("", nil)
		})
	})
	runDiner(t, true, func(d *dinerShape) {
		n := 0
		tell(d, func(scene string) {
			wantSamePicture(t, paint(d, scene), want[n])
			n++
			d.anew(fmt.Sprintf("anew-%d.db", n), func() { wantSamePicture(t, paint(d, scene+", to an observer that is new"), want[n-1]) })
		})
	})
}

func wantSamePicture(t *testing.T, got, want picture) {
	t.Helper()
	for _, command := range slices.Sorted(maps.Keys(want.says)) {
		if w, g := want.says[command], got.says[command]; w != g {
			t.Errorf("%s: %s says in one process\n%s\nand with an observer\n%s", got.scene, command, w, g)
		}
	}
	for _, command := range slices.Sorted(maps.Keys(got.says)) {
		if _, ok := want.says[command]; !ok {
			t.Errorf("%s: only the observer can say %s", got.scene, command)
		}
	}
}

// picture is what the commands say, without what differs from journal to journal, and times.
type picture struct {
	scene string
	says  map[string]string
}

func paint(d *dinerShape, scene string) picture {
	d.T().Helper()
	p := picture{scene, map[string]string{}}
	n := newNames(d)
	run := func(name string, command string, args ...string) {
		for _, format := range []string{"", "--json"} {
			all := append(slices.Clone(args), "--journal", d.path())
			if format != "" {
				all = append(all, format)
			}
			ran := MustRunCommand(d.T(), command, all...)
			text := ran.stdout
			if ran.err != nil {
				text += fmt.Sprintf("exit code %d: %v", clitest.ExitCode(ran.err), ran.err)
			}
			if format != "" && ran.stdout != "" {
				text = n.json(text)
			} else {
				text = n.text(text)
			}
			text = inherent.ReplaceAllString(text, "")
			if strings.HasPrefix(name, "dlq list") && format == "" { // in the order of their numbers
				lines := strings.Split(text, "\n")
				slices.Sort(lines)
				text = strings.Join(lines, "\n")
			}
			p.says[strings.TrimSpace(name+" "+format)] = text
		}
	}
	for _, flow := range n.flows {
		run("trace "+flow, "trace", flow)
	}
	run("events", "events")
	run("events --limit 7", "events", "--limit", "7")
	for _, status := range []string{"dead", "replaying", "replayed", "dropped", "all"} {
		run("dlq list "+status, "dlq", "list", "--status", status)
	}
	run("dlq list --causes", "dlq", "list", "--causes")
	for id, label := range n.letters {
		run("dlq show "+label, "dlq", "show", fmt.Sprint(id))
	}
	if d.broker != nil {
		wantSameOverHTTP(d, n, p.says)
	}
	run("verify", "verify")
	p.says["settled"] = fmt.Sprint(n.settled)
	return p
}

// inherent is what is said for a reason of one shape alone: what can be done about a dead letter, which is where its
// subscription runs; and the shop's books, which an observer holds by events, and this is no shop.
var inherent = regexp.MustCompile(`(?m)^(next: troupe (trace|dlq show)| troupe dlq (replay|drop)| replay or drop the dead letter|books| charged|open).*\n`)

// wantSameOverHTTP compares what the observer answers with what the commands say.
func wantSameOverHTTP(d *dinerShape, n *names, says map[string]string) {
	d.T().Helper()
	api := cli.API(d.ob, shopProgram())
	get := func(path string) string {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequestWithContext(d.Context(), "GET", path, nil))
		return n.json(w.Body.String())
	}
	for _, flow := range n.flows {
		if got, want := get("/flows/"+url.PathEscape(flow)), says["trace "+flow+" --json"]; got != want {
			d.T().Errorf("over HTTP, flow %s is\n%s\nwant\n%s", flow, got, want)
		}
	}
	var lines strings.Builder // one event each, as the command has it
	for _, one := range regexp.MustCompile(`(?s)\n {\n.*?\n }`).FindAllString(get("/events?limit=7"), -1) {
		lines.WriteString(strings.ReplaceAll(one, "\n ", "\n")[1:] + "\n")
	}
	if want := says["events --limit 7 --json"]; lines.String() != want {
		d.T().Errorf("over HTTP, the events are\n%s\nwant\n%s", lines.String(), want)
	}
}

// names say what the numbers and ids of one journal stand for.
type names struct {
	journal string
	flows   []string
	events  map[string]string // by id
	seqs    map[int64]string
	letters map[int64]string
	settled bool
}

func newNames(d *dinerShape) *names {
	n := &names{journal: d.path(), events: map[string]string{}, seqs: map[int64]string{}, letters: map[int64]string{}}
	err := cli.ReadJournal(d.Context(), n.journal, func(r *sqlite.Reader) error {
		flows := map[string]bool{}
		err := r.Events(d.Context(), sqlite.EventFilter{}, func(e *journal.Event) error {
			label := fmt.Sprintf("%s(%s)", e.Type, e.Data)
			n.events[e.ID], n.seqs[e.Seq] = label, label
			flows[e.CorrelationID] = true
			return nil
		})
		if err != nil {
			return err
		}
		n.flows = slices.Sorted(maps.Keys(flows))
		for _, id := range n.flows {
			f, err := r.Flow(d.Context(), id)
			if err != nil {
				return err
			}
			for _, e := range f[0].Delayed {
				n.events[e.ID] = e.Type + " to come"
			}
		}
		err = r.View(d.Context(), func(tx *sql.Tx) (err error) {
			n.settled, err = sqlite.Settled(d.Context(), tx)
			return err
		})
		if err != nil {
			return err
		}
		letters, err := r.DeadLetters(d.Context(), sqlite.DeadLetterFilter{})
		for _, l := range letters {
			n.letters[l.ID] = l.Subscription + " of " + n.events[l.Event.ID]
		}
		return err
	})
	if err != nil {
		d.T().Fatal(err)
	}
	return n
}

var (
	aTime     = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ][\d:.]+Z|\d\d:\d\d:\d\dZ`)
	aDuration = regexp.MustCompile(`\b(\d+(\.\d+)?(h|m|s|ms|µs|ns))+\b`)
	aSeq      = regexp.MustCompile(`\b(event|number) (\d+)`)
	aLetter   = regexp.MustCompile(`\b(dead letter +|dlq show |dlq replay |dlq drop )(\d+)`)
	aRow      = regexp.MustCompile(`(?m)^ *\d+ +`)
	aNewest   = regexp.MustCompile(`(?m)(\S+/\S+) +\d+ +TIME`)
	spaces    = regexp.MustCompile(` +|-{3,}`)
)

// text is what a person sees.
func (n *names) text(s string) string {
	short := n.journal
	if here, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(here, n.journal); err == nil && filepath.IsLocal(rel) {
			short = rel
		}
	}
	s = strings.ReplaceAll(strings.ReplaceAll(s, n.journal, "JOURNAL"), short, "JOURNAL")
	for id, label := range n.events {
		s = strings.ReplaceAll(s, id, label)
	}
	numbered := func(re *regexp.Regexp, of map[int64]string) {
		s = re.ReplaceAllStringFunc(s, func(m string) string {
			parts := re.FindStringSubmatch(m)
			var i int64
			_, _ = fmt.Sscan(parts[2], &i)
			return parts[1] + "[" + of[i] + "]"
		})
	}
	numbered(aSeq, n.seqs)
	numbered(aLetter, n.letters)
	s = aTime.ReplaceAllString(s, "TIME")
	s = aDuration.ReplaceAllString(s, "WHILE")
	s = aNewest.ReplaceAllString(aRow.ReplaceAllString(s, ""), "$1 TIME")
	return spaces.ReplaceAllString(s, " ")
}

// json is what a program reads.
func (n *names) json(s string) string {
	var out strings.Builder
	dec := json.NewDecoder(strings.NewReader(s))
	for dec.More() {
		var v any
		if err := dec.Decode(&v); err != nil {
			return err.Error() + " in " + s
		}
		b, err := json.MarshalIndent(n.neutral("", v), "", " ")
		if err != nil {
			return err.Error()
		}
		out.Write(append(b, '\n'))
	}
	return out.String()
}

func (n *names) neutral(name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "books")
		delete(v, "settled")        // that of the shop
		if v["retired_at"] != nil { // an observer that is new does not know what it consumed
			delete(v, "types")
		}
		for k, x := range v {
			v[k] = n.neutral(k, x)
		}
		return v
	case []any:
		v = slices.DeleteFunc(v, func(x any) bool { // what the bus has for itself, each has for itself
			s, ok := x.(map[string]any)
			return ok && s["name"] == "bus/unknown"
		})
		for i, x := range v {
			v[i] = n.neutral("", x)
		}
		if len(v) > 0 && strings.Contains(fmt.Sprint(v[0]), "dead_at:") { // in the order of their numbers
			slices.SortFunc(v, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
		return v
	case string:
		if _, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return "TIME"
		}
		return n.text(v)
	case float64:
		switch name {
		case "seq", "behind":
			return n.seqs[int64(v)]
		case "dead_letter", "id":
			return n.letters[int64(v)]
		case "duration_us", "cursor", "start_seq", "example":
			return "NUMBER"
		}
	}
	return v
}
