package sqlite_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// asked and answered are the events of the tests that need a bus.
type (
	asked struct {
		Key string `json:"key"`
		N   int    `json:"n"`
	}
	answered asked
)

func (asked) EventType() string     { return "test.asked" }
func (e asked) EventKey() string    { return e.Key }
func (answered) EventType() string  { return "test.answered" }
func (e answered) EventKey() string { return e.Key }

// app is a bus with one module on a journal, which it can leave and come back to.
type app struct {
	*bus.Bus
	m    *bus.Module
	j    *sqlite.Journal
	stop func()
}

// MustRun runs a bus on the journal at path until stop, or the end of the test.
func MustRun(tb testing.TB, path string, wire func(*bus.Module)) *app {
	tb.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	j, err := sqlite.Open(tb.Context(), path, sqlite.Config{Logger: quiet})
	if err != nil {
		tb.Fatal(err)
	}
	b := bus.New(j, bus.Config{Logger: quiet, Retry: bus.Retry{First: time.Millisecond, Attempts: 2}})
	a := &app{Bus: b, j: j, m: b.Module("test").Emits(asked{})}
	wire(a.m)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	select {
	case <-b.Running():
	case err := <-ended:
		tb.Fatal(errors.Join(err, j.Close()))
	}
	stopped := false
	a.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-ended, j.Close()); err != nil {
			tb.Error(err)
		}
	}
	tb.Cleanup(a.stop)
	return a
}

// publish emits events in one flow and waits for quiet.
func (a *app) publish(tb testing.TB, flow string, events ...bus.Event) {
	tb.Helper()
	if _, err := a.m.Publish(bus.Correlate(tb.Context(), flow), events...); err != nil {
		tb.Fatal(err)
	}
	a.wait(tb)
}

func (a *app) wait(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	if err := a.Quiet(ctx); err != nil {
		tb.Fatalf("not quiet: %v: %+v", err, a.j.Backlog())
	}
}

// MustRead opens a reader that is closed with the test.
func MustRead(tb testing.TB, path string) *sqlite.Reader {
	tb.Helper()
	r, err := sqlite.OpenReader(tb.Context(), path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	})
	return r
}

func wantSame(tb testing.TB, what string, got, want any) {
	tb.Helper()
	g, err := json.Marshal(got)
	if err != nil {
		tb.Fatal(err)
	}
	w, err := json.Marshal(want)
	if err != nil {
		tb.Fatal(err)
	}
	if string(g) != string(w) {
		tb.Errorf("%s:\ngot  %s\nwant %s", what, g, w)
	}
}

func TestOpenReaderSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	file := func(text string) func(*testing.T, string) {
		return func(t *testing.T, path string) { MustWrite(t, path, []byte(text)) }
	}
	execute := func(query string) func(*testing.T, string) {
		return func(t *testing.T, path string) { MustExec(t, path, query) }
	}
	journalWith := func(query string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			MustOpen(t, path, sqlite.Config{})
			MustExec(t, path, query)
		}
	}
	for _, c := range []struct {
		name string
		make func(*testing.T, string)
		is   error
		says string
	}{
		{"missing", func(*testing.T, string) {}, fs.ErrNotExist, "there is no journal yet"},
		{"directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}, nil, "is a directory"},
		{"empty", file(""), nil, "is not a journal"},
		{"text", file(strings.Repeat("this is a text file\n", 100)), nil, "not an SQLite database"},
		{"another application", execute("PRAGMA application_id = 252006675"), nil, "is not a journal"},
		{"unfinished", execute("PRAGMA application_id = 1416786021"), nil, "lacks schema/0001_journal.sql"},
		{"newer", journalWith("INSERT INTO migrations VALUES ('journal', 'schema/9999_future.sql', 'x', 0)"), sqlite.ErrNewer, "9999_future.sql"},
		{"older", journalWith("DELETE FROM migrations WHERE name = 'schema/0001_journal.sql'"), nil, "run on it once"},
		{"modules of a newer program", journalWith("INSERT INTO migrations VALUES ('test', '9999_future.sql', 'x', 0)"), nil, ""},
		{"corrupt", func(t *testing.T, path string) {
			b, err := os.ReadFile(MustJournal(t))
			if err != nil {
				t.Fatal(err)
			}
			for i := 100; i < len(b); i++ { // the header stays, everything else is noise
				b[i] = byte(i * 7)
			}
			MustWrite(t, path, b)
		}, nil, "damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "j.db")
			c.make(t, path)
			r, err := sqlite.OpenReader(t.Context(), path)
			if c.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
				t.Fatalf("error is %v, want it to say %q and the path", err, c.says)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
			if _, err := os.Stat(path); c.name == "missing" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a file was made: %v", err)
			}
		})
	}
}

// Reading leaves no trace in the owner's way, and sees what it commits.
func TestReaderBesideTheOwner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	a := MustRun(t, path, func(m *bus.Module) {
		bus.On(m, "answer", func(context.Context, asked) (bus.Events, error) { return nil, nil })
	})
	r := MustRead(t, path)
	a.publish(t, "f", asked{"k", 1})
	for name, r := range map[string]*sqlite.Reader{"another's": r, "the owner's": a.j.Reader()} {
		events := 0
		if err := r.Events(t.Context(), sqlite.EventFilter{}, func(*journal.Event) error { events++; return nil }); err != nil || events != 1 {
			t.Errorf("%s reader sees %d events, %v", name, events, err)
		}
		err := r.View(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.Exec("DELETE FROM events")
			return err
		})
		if err == nil {
			t.Errorf("%s reader can write", name)
		}
		for _, by := range []string{"COMMIT", "ROLLBACK", "SELECT 1; COMMIT; BEGIN", "END"} {
			err = r.View(t.Context(), func(tx *sql.Tx) error {
				_, err := tx.ExecContext(t.Context(), by)
				_, again := tx.QueryContext(t.Context(), by)
				_, prepared := tx.Prepare(by)
				if again == nil || prepared == nil && by != "SELECT 1; COMMIT; BEGIN" {
					t.Errorf("%s reader may say %s: %v, %v", name, by, again, prepared)
				}
				return err
			})
			if err == nil || !strings.Contains(err.Error(), "the transaction belongs to the view") {
				t.Errorf("%s reader says %s: %v", name, by, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	a.publish(t, "f", asked{"k", 2})
}

func TestEvents(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	a := MustRun(t, path, func(m *bus.Module) {
		m.ForOutside(answered{})
		bus.On(m, "answer", func(_ context.Context, e asked) (bus.Events, error) { return bus.Emit(answered(e)), nil }).Emits(answered{})
	})
	a.publish(t, "f1", asked{"a", 1}, asked{"b", 2}) // 1 2, answers 3 4
	a.publish(t, "f2", asked{"a", 3})                // 5, answer 6
	r := MustRead(t, path)
	var since time.Time
	all := sqlite.EventFilter{Flow: "f2", Limit: 1}
	if err := r.Events(t.Context(), all, func(e *journal.Event) error { since = e.Time; return nil }); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		f    sqlite.EventFilter
		want []int64
	}{
		"all":      {sqlite.EventFilter{}, []int64{1, 2, 3, 4, 5, 6}},
		"type":     {sqlite.EventFilter{Types: []string{"test.asked"}}, []int64{1, 2, 5}},
		"types":    {sqlite.EventFilter{Types: []string{"test.asked", "test.answered"}, AfterSeq: 4}, []int64{5, 6}},
		"key":      {sqlite.EventFilter{Key: "a", Types: []string{"test.asked"}}, []int64{1, 5}},
		"flow":     {sqlite.EventFilter{Flow: "f2"}, []int64{5, 6}},
		"since":    {sqlite.EventFilter{Since: since}, []int64{5, 6}},
		"limit":    {sqlite.EventFilter{Limit: 2}, []int64{1, 2}},
		"newest":   {sqlite.EventFilter{Limit: 2, Newest: true}, []int64{5, 6}},
		"no limit": {sqlite.EventFilter{AfterSeq: 5, Newest: true}, []int64{6}},
		"none":     {sqlite.EventFilter{Key: "nobody's"}, []int64{}},
	} {
		got := []int64{}
		if err := r.Events(t.Context(), c.f, func(e *journal.Event) error { got = append(got, e.Seq); return nil }); err != nil {
			t.Error(err)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	enough := errors.New("enough")
	if err := r.Events(t.Context(), sqlite.EventFilter{}, func(*journal.Event) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the callback's error came back as %v", err)
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	a := MustRun(t, path, func(m *bus.Module) {
		bus.On(m, "fail", func(_ context.Context, e asked) (bus.Events, error) {
			if e.N == 1 {
				return nil, errors.New("planned")
			}
			return nil, nil
		}).ParkKey()
	})
	a.publish(t, "f", asked{"a", 1}, asked{"a", 2}, asked{"b", 2})
	stats, err := a.j.Reader().Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if stats.Events != 3 || stats.Retries != 1 {
		t.Errorf("%d events, %d retries", stats.Events, stats.Retries)
	}
	wantSame(t, "deliveries", stats.Deliveries, map[string]int{"blocked": 1, "dead": 1, "done": 1})
	wantSame(t, "dead letters", stats.DeadLetters, map[string]int{"dead": 1})
	if len(stats.Subscriptions) != 2 || stats.Subscriptions[1].Name != "test/fail" || stats.Subscriptions[1].Lag != 0 || !stats.Subscriptions[0].Except {
		t.Errorf("subscriptions are %+v", stats.Subscriptions)
	}
	wantSettled(t, a.j.Reader(), false)
	flows, err := a.j.Reader().Flow(t.Context(), "f")
	if err != nil {
		t.Fatal(err)
	}
	if dead, blocked := flows[0].Events[0].Reactions[0], flows[0].Events[1].Reactions[0]; !dead.Parked || blocked.BlockedBy != 1 || blocked.Attempts != 0 {
		t.Errorf("behind %+v is %+v", dead, blocked)
	}
	a.stop()
	MustExec(t, path, "INSERT INTO events (id, type, time, correlation_id, data) VALUES ('x', 'test.asked', 0, 'f', x''), ('y', 'test.unknown', 0, 'f', x'')")
	if stats, err = MustRead(t, path).Stats(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantSame(t, "lag", []int64{stats.Subscriptions[0].Lag, stats.Subscriptions[1].Lag}, []int64{1, 1})
}

func wantSettled(tb testing.TB, r *sqlite.Reader, want bool) {
	tb.Helper()
	err := r.View(tb.Context(), func(tx *sql.Tx) error {
		got, err := sqlite.Settled(tb.Context(), tx)
		if got != want {
			tb.Errorf("settled: %t", got)
		}
		return err
	})
	if err != nil {
		tb.Error(err)
	}
}
