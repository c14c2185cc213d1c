//go:build unix

package scaffold

import (
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// life is a new program outside of the tree, which TestLife takes from its first test to three deployables and back.
type life struct {
	place
	acknowledged map[string]bool // requests
}

// A new program uses the public packages only, and goes through the whole life of a program by the program's own
// binary. The test is the guard of the public API.
func TestLife(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	absolute, err := filepath.Abs(checkout)
	if err != nil {
		t.Fatal(err)
	}
	at := place{tb: t, binary: MustTroupe(t), dir: parent}
	at.says([]string{"clinic is in the folder clinic"},
		"new", "clinic", "desk", "billing", "letters", "--replace", absolute)
	dir := filepath.Join(parent, "clinic")
	l := &life{place: place{tb: t, binary: filepath.Join(dir, "bin", "clinic"), dir: dir}, acknowledged: map[string]bool{}}
	for _, step := range []struct {
		name string
		do   func(t *testing.T)
	}{
		{"imports", l.onlyPublicImports},
		{"make", l.isGreen},
		{"requests", l.serves},
		{"kill -9", l.isKilled},
		{"dead letter", l.hasDeadLetters},
		{"split and three deployables", l.isSplit},
		{"merge", l.isMerged},
	} {
		if !t.Run(step.name, step.do) {
			return
		}
	}
}

// in returns the life for a step: failures belong to the step.
func (l *life) in(t *testing.T) *life {
	own := *l
	own.tb = t
	return &own
}

func (l *life) onlyPublicImports(t *testing.T) {
	found := 0
	err := filepath.WalkDir(l.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			found++
			if strings.Contains(i.Path.Value, "/internal/") {
				t.Errorf("%s imports %s", path, i.Path.Value)
			}
		}
		return nil
	})
	if err != nil || found == 0 {
		t.Fatalf("%d imports, %v", found, err)
	}
}

// isGreen runs the commands of the README: go vet, all tests, and the demo twice: the second adds no request.
func (l *life) isGreen(t *testing.T) {
	l = l.in(t)
	l.run(0, l.tool("make", "test"))
	out, _ := l.run(0, l.tool("make", "demo"))
	for _, want := range []string{
		"3 of them now", "├─ billing/send  done in", "└─ letters/send  done in", "desk/note-letters", "everything adds up",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("make demo does not say %q:\n%s", want, out)
		}
	}
	if out, _ := l.run(0, l.tool("make", "demo")); !strings.Contains(out, "0 of them now") {
		t.Errorf("make demo, once more:\n%s", out)
	}
	if out, _ := l.run(0, l.tool("make")); !strings.Contains(out, "make demo") {
		t.Errorf("make says %s", out)
	}
}

const (
	ada    = `{"address": "ada@mail.test"}`
	nobody = `{"address": "nobody@mail.test"}`
)

// put has a request acknowledged, and waits until all modules have handled the request.
func (l *life) put(s *server, id, body string) {
	l.tb.Helper()
	s.want(http.StatusCreated, `"id":"`+id+`"`, "PUT", "/desk/"+id, body)
	l.acknowledged[id] = true
	l.handled(s, id)
}

// handled waits until all modules have handled a request.
func (l *life) handled(s *server, id string) {
	l.tb.Helper()
	eventually(l.tb, id+" is answered by billing and letters", func() (bool, string) {
		status, answer := s.ask("GET", "/desk/"+id, "")
		if status != http.StatusOK {
			l.tb.Fatalf("%s was acknowledged, and is lost: %d %s", id, status, answer)
		}
		return strings.Contains(answer, `"billing":"message `) && strings.Contains(answer, `"letters":"message `), answer
	})
}

func (l *life) serves(t *testing.T) {
	l = l.in(t)
	s := l.in(t).serve("run", "--http", "127.0.0.1:0")
	s.want(http.StatusCreated, `"/-/flows/one?wait=5s"`, "PUT", "/desk/one", ada)
	l.acknowledged["one"] = true
	s.want(http.StatusOK, `"/-/flows/one?wait=5s"`, "PUT", "/desk/one", ada)
	s.want(http.StatusConflict, "another request", "PUT", "/desk/one", `{"address": "bob@mail.test"}`)
	s.want(http.StatusBadRequest, "malformed", "PUT", "/desk/two", `{"adress": "bob@mail.test"}`)
	s.want(http.StatusBadRequest, "malformed", "PUT", "/desk/two", `{"address": ""}`)
	s.want(http.StatusNotFound, "no request", "GET", "/desk/two", "")
	s.want(http.StatusOK, "billing.sent", "GET", "/-/flows/one?wait=60s", "")
	l.handled(s, "one")
	l.says([]string{"billing/send  done in", "desk/note-letters  done in"}, "trace", "one")
	l.says([]string{"desk.accepted"}, "events", "--type", "desk.accepted")
	l.says([]string{"fake.refuse"}, "config")
	s.stop()
	l.says([]string{"everything adds up"}, "verify")
}

// isKilled kills the process while requests are running, and runs the program again: every acknowledged request is
// there, and is handled.
func (l *life) isKilled(t *testing.T) {
	l = l.in(t)
	const clients, before = 8, 200
	s := l.serve("run", "--http", "127.0.0.1:0")
	acknowledged := make(chan string)
	var running sync.WaitGroup
	for c := range clients {
		running.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("load-%d-%d", c, n)
				status, answer, err := s.try("PUT", "/desk/"+id, ada)
				switch {
				case err != nil:
					return // killed
				case status != http.StatusCreated:
					t.Errorf("PUT %s: %d %s", id, status, answer)
					return
				}
				acknowledged <- id
			}
		})
	}
	go func() {
		running.Wait()
		close(acknowledged)
	}()
	got := 0
	for id := range acknowledged {
		l.acknowledged[id] = true
		if got++; got == before {
			go s.kill()
		}
	}
	if got < before {
		t.Fatalf("only %d requests were acknowledged", got)
	}
	t.Logf("%d requests were acknowledged when the process was killed", got)
	s = l.serve("run", "--http", "127.0.0.1:0")
	l.allHandled(s)
	s.stop()
	l.says([]string{"everything adds up"}, "verify")
}

// allHandled checks every request of the whole life.
func (l *life) allHandled(s *server) {
	l.tb.Helper()
	for _, id := range slices.Sorted(maps.Keys(l.acknowledged)) {
		l.handled(s, id)
	}
}

// hasDeadLetters has both providers refuse a message. A person has the letters replayed once the providers take the
// message.
func (l *life) hasDeadLetters(t *testing.T) {
	l = l.in(t)
	refusing := l.place
	refusing.environ = []string{"CLINIC_FAKE_REFUSE=nobody"}
	s := refusing.serve("run", "--http", "127.0.0.1:0")
	s.want(http.StatusCreated, "dead", "PUT", "/desk/dead", nobody)
	l.acknowledged["dead"] = true
	s.want(http.StatusOK, "the provider refused the message", "GET", "/-/flows/dead?wait=60s", "")
	s.stop()
	list := l.says([]string{"billing/send", "letters/send"}, "dlq", "list")
	if strings.Contains(list, "load-") {
		t.Errorf("there are other dead letters:\n%s", list)
	}
	l.says([]string{"the provider refused the message to nobody@mail.test"}, "dlq", "list")
	s = l.serve("run", "--http", "127.0.0.1:0")
	l.says(nil, "dlq", "replay", "--all", "--reason", "the providers take it now")
	l.handled(s, "dead")
	s.stop()
	l.says([]string{"no dead letters"}, "dlq", "list")
	l.says([]string{"everything adds up"}, "verify")
}

// deployables takes the comments of clinic.yaml away, and puts in the address of the broker.
func (l *life) deployables(broker string) {
	l.tb.Helper()
	path := filepath.Join(l.dir, "clinic.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		l.tb.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "#\n# transport:")
	if !found {
		l.tb.Fatalf("clinic.yaml has no deployables:\n%s", text)
	}
	block = regexp.MustCompile(`(?m)^# ?`).ReplaceAllString("# transport:"+block, "")
	block = strings.Replace(block, "127.0.0.1:9092", broker, 1)
	if err := os.WriteFile(path, []byte(block), 0o600); err != nil {
		l.tb.Fatal(err)
	}
}

// isSplit takes two modules out of the journal, and runs three deployables over the program's own broker, and an
// observer.
func (l *life) isSplit(t *testing.T) {
	l = l.in(t)
	l.says([]string{"ready: nothing stands in the way"}, "split", "--check", "--modules", "billing,letters")
	for _, m := range []string{"billing", "letters"} {
		l.says([]string{"nothing was lost or doubled"}, "split", "--modules", m, "--into", m+".db")
	}
	broker := l.serve("broker", "--port", "0", "--data", "broker.data")
	l.deployables(broker.at)
	l.says([]string{"the deployables fit together"}, "check")
	desk := l.serve("run", "--deployable", "desk", "--http", "127.0.0.1:0")
	billing := l.serve("run", "--deployable", "billing", "--http", "127.0.0.1:0")
	elsewhere := l.place // without a file: by flags alone
	elsewhere.dir = t.TempDir()
	letters := elsewhere.serve("run", "--modules", "letters", "--journal", filepath.Join(l.dir, "letters.db"),
		"--http", "127.0.0.1:0", "--transport", "kafka", "--brokers", broker.at)
	observer := l.serve("observe", "--journal", "observer.db", "--http", "127.0.0.1:0")
	l.put(desk, "three", ada)
	billing.want(http.StatusMisdirectedRequest, `"there":"http://127.0.0.1:8080/desk/three"`, "GET", "/desk/three", "")
	letters.want(http.StatusMisdirectedRequest, "ask the one that runs desk", "GET", "/desk/three", "")
	eventually(t, "the observer has the whole flow", func() (bool, string) {
		out, err := l.command("trace", "three", "--journal", "observer.db").CombinedOutput()
		seen := string(out)
		whole := strings.Contains(seen, "desk/note-billing  done") && strings.Contains(seen, "desk/note-letters  done")
		return err == nil && whole, seen
	})
	l.allHandled(desk)
	for _, s := range []*server{letters, billing, desk, observer, broker} {
		s.stop()
	}
	var v struct {
		OK, Settled bool
		Journal     struct{ Events int }
	}
	for _, part := range []string{"observer.db", "billing.db"} { // neither has all tables, and verify says so
		l.says([]string{"books    not checked", "the books were not checked"}, "verify", "--journal", part)
	}
	out := l.says(nil, "verify", "--journal", "observer.db", "--json")
	if err := json.Unmarshal([]byte(out), &v); err != nil || !v.OK || v.Journal.Events < 3 {
		t.Errorf("verify of the observer: %s", out)
	}
	l.says([]string{"books    right", "everything adds up"},
		"verify", "--journal", "clinic.db", "--journal", "billing.db", "--journal", "letters.db")
}

// isMerged brings the modules back into one journal, and runs them in one process.
func (l *life) isMerged(t *testing.T) {
	l = l.in(t)
	for _, m := range []string{"billing", "letters"} {
		l.says([]string{"nothing was lost or doubled"}, "merge", "--from", m+".db", "--journal", "clinic.db")
	}
	if err := os.Remove(filepath.Join(l.dir, "clinic.yaml")); err != nil {
		t.Fatal(err)
	}
	s := l.serve("run", "--http", "127.0.0.1:0")
	l.put(s, "four", ada)
	l.allHandled(s)
	s.stop()
	l.says([]string{"books    right", "everything adds up"}, "verify")
	// The plain binary reads the journal, but does not run the modules.
	troupe := l.place
	troupe.binary = MustTroupe(t)
	troupe.says([]string{"letters/send  done in"}, "trace", "four", "--journal", "clinic.db")
	_, errs := troupe.run(1, troupe.command("run", "--journal", "clinic.db", "--http", "127.0.0.1:0"))
	if !strings.Contains(errs, "clinic") {
		t.Errorf("troupe run on the journal of clinic: %s", errs)
	}
}
