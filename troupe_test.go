package troupe_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/bus"
)

// said is what a program writes while it runs.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func runClinic[S any](ctx context.Context, a troupe.App[S], line ...string) (int, string) {
	var out said
	code := troupe.Run(ctx, a, line, &out, &out)
	return code, out.String()
}

// serve runs the clinic until it serves, and stops it.
func serve[S any](t *testing.T, a troupe.App[S], line ...string) {
	t.Helper()
	serveTo(t, a, func(string) {}, line...)
}

// serveTo runs the clinic until it serves, calls use with its address, and stops it.
func serveTo[S any](t *testing.T, a troupe.App[S], use func(url string), line ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out said
	ended := make(chan int, 1)
	go func() {
		ended <- troupe.Run(ctx, a, append([]string{"run", "--http", "127.0.0.1:0"}, line...), &out, &out)
	}()
	for !strings.Contains(out.String(), "is at http://") {
		select {
		case code := <-ended:
			t.Fatalf("run ended with %d: %s", code, out.String())
		case <-t.Context().Done():
		case <-time.After(time.Millisecond):
		}
	}
	_, rest, _ := strings.Cut(out.String(), "is at ")
	use(strings.Fields(rest)[0])
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("run ended with %d: %s", code, out.String())
	}
}

// A program whose modules have no doors may return nil.
func TestWithoutDoors(t *testing.T) {
	t.Parallel()
	journal := filepath.Join(t.TempDir(), "clinic.db")
	var routes any = "not called"
	a := troupe.App[any]{
		Name: "clinic", Wire: func(b *bus.Bus) any { wire(b); return nil },
		HTTP: func(_ *http.ServeMux, doors any, _ *troupe.Deployable) { routes = doors },
		Commands: []troupe.Command[any]{{Name: "look", Run: func(_ context.Context, c *troupe.Call[any]) error {
			if c.Doors != nil || c.Deployable == nil {
				return errors.New("doors come from nowhere")
			}
			return nil
		}}},
	}
	if code, out := runClinic(t.Context(), a, "look", "--journal", journal); code != 0 {
		t.Error(code, out)
	}
	serve(t, a, "--journal", journal)
	if routes != nil {
		t.Errorf("HTTP got the doors %v", routes)
	}
}

func TestACommandAloneHasNoJournal(t *testing.T) {
	t.Parallel()
	a := troupe.App[Desk]{Name: "clinic", Wire: wire, Commands: []troupe.Command[Desk]{{
		Name: "card", Alone: true, Run: func(ctx context.Context, c *troupe.Call[Desk]) error {
			if _, err := c.Verify(ctx); err == nil || !strings.Contains(err.Error(), "alone") {
				t.Errorf("Verify: %v", err)
			}
			if got := c.Invocation("trace", "a-1"); got != "clinic trace a-1" {
				t.Errorf("Invocation: %q", got)
			}
			return nil
		},
	}}}
	if code, out := runClinic(t.Context(), a, "card"); code != 0 {
		t.Error(code, out)
	}
}

func TestMistakesInCommands(t *testing.T) {
	t.Parallel()
	run := func(context.Context, *troupe.Call[Desk]) error { return nil }
	for want, c := range map[string]troupe.Command[Desk]{
		"no Run": {Name: "norun"}, `name ""`: {Run: run}, `name "--json x"`: {Name: "--json x", Run: run}, `name "Book"`: {Name: "Book", Run: run},
	} {
		func() {
			defer func() {
				if said, _ := recover().(string); !strings.Contains(said, want) {
					t.Errorf("%+v: panic %q, want %q in it", c, said, want)
				}
			}()
			runClinic(t.Context(), troupe.App[Desk]{Name: "clinic", Wire: wire, Commands: []troupe.Command[Desk]{c}}, "help")
		}()
	}
}

// On the journal of a deployable that runs some modules, a command, which runs all, would have the others react to every event again.
func TestACommandOnTheJournalOfADeployable(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	opened := 0
	a := troupe.App[Desk]{
		Name: "clinic", Wire: wire,
		Open: func(context.Context, *troupe.Deployable) (func() error, error) { opened++; return nil, nil },
		Commands: []troupe.Command[Desk]{{Name: "book", Run: func(ctx context.Context, c *troupe.Call[Desk]) error {
			return c.Doors.Book(ctx, "a-1", "Ada")
		}}},
	}
	over := []string{"--transport", "kafka", "--brokers", "127.0.0.1:1"} // nobody is there, and nobody needs to be
	some := append([]string{"--modules", "appointments", "--journal", filepath.Join(folder, "some.db")}, over...)
	all := append([]string{"--journal", filepath.Join(folder, "all.db")}, over...)
	serve(t, a, some...)
	serve(t, a, all...)
	opened = 0
	code, out := runClinic(t.Context(), a, "book", "--journal", filepath.Join(folder, "some.db"))
	if code != 1 || opened != 0 || !strings.Contains(out, "never ran reminders") {
		t.Errorf("book on the journal of one module: code %d, opened %d times: %s", code, opened, out)
	}
	code, out = runClinic(t.Context(), a, "run", "--http", "127.0.0.1:0", "--journal", filepath.Join(folder, "some.db")) // its flags are forgotten
	if code != 1 || opened != 0 || !strings.Contains(out, "never ran reminders") || !strings.Contains(out, "--modules") {
		t.Errorf("run without flags on the journal of one module: code %d, opened %d times: %s", code, opened, out)
	}
	serve(t, a, some...) // still its own
	if code, out := runClinic(t.Context(), a, "book", "--journal", filepath.Join(folder, "all.db")); code != 0 {
		t.Errorf("book on the journal of all modules: code %d: %s", code, out)
	}

	less := a // a version without reminders, for a while
	less.Wire = func(b *bus.Bus) Desk {
		appointments := b.Module("appointments").Emits(Booked{})
		appointments.ForOutside(Booked{})
		return Desk{appointments}
	}
	whole := []string{"--journal", filepath.Join(folder, "all.db")}
	serve(t, less, whole...)
	again := slices.Concat([]string{"run", "--http", "127.0.0.1:0", "--modules", "appointments"}, over, whole)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // for one that is not refused
	defer cancel()
	if code, out := runClinic(ctx, a, again...); code != 1 || !strings.Contains(out, "subscription reminders/write") {
		t.Errorf("running some modules on the journal of all: code %d: %s", code, out)
	}
	if code, out := runClinic(t.Context(), a, append([]string{"book"}, whole...)...); code != 0 {
		t.Errorf("book on the journal of all modules, after a version without reminders: code %d: %s", code, out)
	}
}

// What is wrong is said once: the exit code is no text.
func TestVerifySaysWhatIsWrongOnce(t *testing.T) {
	t.Parallel()
	journal := filepath.Join(t.TempDir(), "clinic.db")
	a := troupe.App[Desk]{
		Name: "clinic", Wire: wire, Books: troupe.Books{Tables: wrongBooks},
		Commands: []troupe.Command[Desk]{{Name: "look", Run: func(context.Context, *troupe.Call[Desk]) error { return nil }}},
	}
	if code, out := runClinic(t.Context(), a, "look", "--journal", journal); code != 0 {
		t.Fatal(code, out)
	}
	code, out := runClinic(t.Context(), a, "verify", "--journal", journal)
	if code != 1 || !strings.HasSuffix(out, "\n1 wrong\n") {
		t.Errorf("verify: code %d: %s", code, out)
	}
}

func wrongBooks(context.Context, func(string) bus.SQL, bool) (troupe.Report, error) {
	return troupe.Report{Wrong: []string{"a letter is lost"}}, nil
}

// What a client may mend is the client's mistake.
func TestRefuseTellsAClientOfABadID(t *testing.T) {
	t.Parallel()
	a := troupe.App[*bus.Module]{Name: "clinic", Wire: func(b *bus.Bus) *bus.Module { return wire(b).m },
		HTTP: func(mux *http.ServeMux, m *bus.Module, d *troupe.Deployable) {
			mux.HandleFunc("PUT /{id}", func(w http.ResponseWriter, r *http.Request) {
				if _, err := m.Publish(bus.Correlate(r.Context(), r.PathValue("id")), Booked{"a-1", "Ada"}); err != nil {
					d.Refuse(w, r, err)
				}
			})
		}}
	serveTo(t, a, func(url string) {
		for path, want := range map[string]int{"/a%20b": 200, "/%0a": 400, "/%ff": 400, "/%e2%80%ae": 400, "/" + strings.Repeat("x", 2000): 413} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if _ = res.Body.Close(); res.StatusCode != want {
				t.Errorf("PUT %.20s: %s, want %d", path, res.Status, want)
			}
		}
	}, "--journal", filepath.Join(t.TempDir(), "clinic.db"))
}
