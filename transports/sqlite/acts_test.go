package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// patient is a handler that fails while it is told to, and remembers in which order it succeeded.
type patient struct {
	sick atomic.Bool
	mu   sync.Mutex
	done []string
}

func newPatient() *patient {
	p := &patient{}
	p.sick.Store(true)
	return p
}

// handle fails for odd N while p is sick.
func (p *patient) handle(_ context.Context, e asked) (bus.Events, error) {
	if p.sick.Load() && e.N%2 == 1 {
		return nil, bus.Dead(fmt.Errorf("order %s-%d: no answer", e.Key, e.N))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = append(p.done, fmt.Sprintf("%s%d", e.Key, e.N))
	return nil, nil
}

// of returns what p did for key.
func (p *patient) of(key string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(slices.DeleteFunc(slices.Clone(p.done), func(s string) bool { return s[:1] != key }), " ")
}

// run has a bus with p as test/work, beside a subscription that never fails.
func (p *patient) run(tb testing.TB, path string, park bool) *app {
	return MustRun(tb, path, func(m *bus.Module) {
		h := bus.On(m, "work", p.handle)
		if park {
			h.ParkKey()
		}
		bus.On(m, "other", func(context.Context, asked) (bus.Events, error) { return nil, nil })
	})
}

// await returns when every dead letter of r has status.
func await(tb testing.TB, r *sqlite.Reader, status journal.LetterStatus) {
	tb.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(10 * time.Second)
	for range tick.C {
		letters, err := r.DeadLetters(tb.Context(), sqlite.DeadLetterFilter{})
		if err != nil {
			tb.Fatal(err)
		}
		if !slices.ContainsFunc(letters, func(l journal.DeadLetter) bool { return l.Status != status }) {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("dead letters are not %s: %+v", status, letters)
		}
	}
}

func wantSound(tb testing.TB, r *sqlite.Reader) {
	tb.Helper()
	wrong, err := r.Check(tb.Context())
	if err != nil || len(wrong) > 0 {
		tb.Errorf("the journal's books: %v, %v", wrong, err)
	}
}

// act is Replay or Drop, and what a dead letter is after it.
type act struct {
	do   func(context.Context, string, sqlite.Act) ([]journal.DeadLetter, error)
	want journal.LetterStatus
}

var (
	replay = act{sqlite.Replay, journal.LetterReplaying}
	drop   = act{sqlite.Drop, journal.LetterDropped}
)

// MustAct returns how many dead letters were acted on.
func (do act) MustAct(tb testing.TB, path string, a sqlite.Act) int {
	tb.Helper()
	letters, err := do.do(tb.Context(), path, a)
	if err != nil {
		tb.Fatal(err)
	}
	for _, l := range letters {
		if l.Status != do.want {
			tb.Errorf("dead letter %d is %s, want %s", l.ID, l.Status, do.want)
		}
	}
	return len(letters)
}

// Keys: a is keyed and has two dead letters, b one, "" two. Parked keys have one each, and the rest blocked behind it.
func TestReplay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		park, running bool
		letters       int
		a             string
	}{
		{"resumed keys, running", false, true, 5, "a2 a4 a1 a3"},
		{"resumed keys, stopped", false, false, 5, "a2 a4 a1 a3"},
		{"parked keys, running", true, true, 4, "a1 a2 a3 a4"},
		{"parked keys, stopped", true, false, 4, "a1 a2 a3 a4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "j.db")
			p := newPatient()
			a := p.run(t, path, c.park)
			a.publish(t, "f", asked{"a", 1}, asked{"a", 2}, asked{"b", 1}, asked{"a", 3}, asked{"", 1}, asked{"", 3}, asked{"a", 4}, asked{"b", 2})
			r := MustRead(t, path)
			wantSound(t, r)
			if !c.running {
				a.stop()
			}
			p.sick.Store(false)
			if got := replay.MustAct(t, path, sqlite.Act{Reason: "cured"}); got != c.letters {
				t.Errorf("%d are replayed, want %d", got, c.letters)
			}
			if !c.running {
				wantSound(t, r)
				p.run(t, path, c.park).wait(t)
			}
			await(t, r, journal.LetterReplayed)
			if c.running {
				a.wait(t)
			}
			if got := p.of("a"); got != c.a {
				t.Errorf("key a was handled as %s, want %s", got, c.a)
			}
			wantB := map[bool]string{true: "b1 b2", false: "b2 b1"}[c.park]
			if got := p.of("b"); got != wantB {
				t.Errorf("key b was handled as %s, want %s", got, wantB)
			}
			wantSound(t, r)
			wantSettled(t, r, true)
			stats, err := r.Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, "deliveries", stats.Deliveries, map[string]int{"done": 16}) // the other subscription got nothing twice
		})
	}
}

// One that fails again is dead again, and holds its key again.
func TestReplayThatFailsAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	p := newPatient()
	a := p.run(t, path, true)
	a.publish(t, "f", asked{"a", 1}, asked{"a", 2})
	for range 2 {
		replay.MustAct(t, path, sqlite.Act{Actor: "ada", Reason: "try"})
		await(t, a.j.Reader(), journal.LetterDead)
		a.wait(t)
	}
	if got := p.of("a"); got != "" {
		t.Errorf("behind a dead letter, %s was handled", got)
	}
	wantSound(t, a.j.Reader())
	l, err := a.j.Reader().DeadLetter(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if l.Attempts != 3 || len(l.Acts) != 2 || l.Acts[1].Actor != "ada" || l.Acts[1].Reason != "try" || l.Acts[1].Act != "replay" || l.Acts[1].At.Before(l.Acts[0].At) {
		t.Errorf("dead letter is %+v", l)
	}
}

func TestDrop(t *testing.T) {
	t.Parallel()
	for _, running := range []bool{true, false} {
		t.Run(fmt.Sprintf("running %t", running), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "j.db")
			p := newPatient()
			a := p.run(t, path, true)
			a.publish(t, "f", asked{"a", 1}, asked{"a", 2}, asked{"a", 4})
			r := MustRead(t, path)
			if !running {
				a.stop()
			}
			drop.MustAct(t, path, sqlite.Act{Reason: "a test order", Select: sqlite.DeadLetterFilter{IDs: []int64{1}}})
			wantSound(t, r)
			if !running {
				p.run(t, path, true)
			}
			awaitSettled(t, r)
			if got := p.of("a"); got != "a2 a4" {
				t.Errorf("key a went on with %q", got)
			}
			wantSound(t, r)
			l, err := r.DeadLetter(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			me, err := user.Current()
			if err != nil {
				t.Fatal(err)
			}
			if len(l.Acts) != 1 || l.Acts[0].Act != "drop" || l.Acts[0].Reason != "a test order" || l.Acts[0].Actor != me.Username {
				t.Errorf("acts are %+v", l.Acts)
			}
			flows, err := r.Flow(t.Context(), "f")
			if err != nil {
				t.Fatal(err)
			}
			if got := flows[0].Events[0].Reactions[1]; got.Outcome != journal.Dropped || got.Error != "a test order" {
				t.Errorf("reaction is %+v", got)
			}
		})
	}
}

// awaitSettled returns when nothing is open in the journal.
func awaitSettled(tb testing.TB, r *sqlite.Reader) {
	tb.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(10 * time.Second)
	for range tick.C {
		stats, err := r.Stats(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		if stats.Deliveries[journal.Blocked]+stats.Deliveries[journal.Retrying] == 0 {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("not settled: %+v", stats)
		}
	}
}

func TestActsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	p := newPatient()
	a := p.run(t, path, false)
	a.publish(t, "f", asked{"a", 1}, asked{"b", 1})
	a.stop()
	byID := func(ids ...int64) sqlite.Act { return sqlite.Act{Select: sqlite.DeadLetterFilter{IDs: ids}} }
	drop.MustAct(t, path, byID(1))
	for name, c := range map[string]struct {
		a    sqlite.Act
		is   error
		says string
	}{
		"dropped":              {byID(1), sqlite.ErrNotDead, "1 is dropped"},
		"one of several":       {byID(2, 1), sqlite.ErrNotDead, "1 is dropped"},
		"missing":              {byID(2, 77), sqlite.ErrNotFound, "no dead letter 77"},
		"of another":           {sqlite.Act{Select: sqlite.DeadLetterFilter{IDs: []int64{2}, Subscription: "test/other"}}, sqlite.ErrNotFound, "no dead letter 2"},
		"none":                 {sqlite.Act{Select: sqlite.DeadLetterFilter{Subscription: "test/other"}}, sqlite.ErrNotFound, "no dead letter fits"},
		"of a status not dead": {sqlite.Act{Select: sqlite.DeadLetterFilter{Status: journal.LetterDropped}}, sqlite.ErrNotDead, "1 is dropped"},
	} {
		for _, act := range []act{replay, drop} {
			if _, err := act.do(t.Context(), path, c.a); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if l, err := MustRead(t, path).DeadLetter(t.Context(), 2); err != nil || l.Status != journal.LetterDead || len(l.Acts) != 0 {
		t.Errorf("dead letter 2 was changed: %+v, %v", l, err)
	}
	wantSound(t, MustRead(t, path))
	if _, err := sqlite.Replay(t.Context(), filepath.Join(t.TempDir(), "none.db"), byID(1)); err == nil || !strings.Contains(err.Error(), "no journal yet") {
		t.Errorf("replay without a journal: %v", err)
	}
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	p := newPatient()
	a := MustRun(t, path, func(m *bus.Module) {
		bus.On(m, "work", p.handle)
		bus.On(m, "panic", func(_ context.Context, e asked) (bus.Events, error) {
			if e.N == 3 {
				panic("boom")
			}
			return nil, nil
		})
	})
	a.publish(t, "f", asked{"a", 1})
	a.publish(t, "f", asked{"b", 1})
	a.publish(t, "f", asked{"c", 3})
	r := a.j.Reader()
	all, err := r.DeadLetters(t.Context(), sqlite.DeadLetterFilter{})
	if err != nil || len(all) != 4 {
		t.Fatalf("%d dead letters, %v", len(all), err)
	}
	for name, c := range map[string]struct {
		f    sqlite.DeadLetterFilter
		want int
	}{
		"ids":          {sqlite.DeadLetterFilter{IDs: []int64{1, 3}}, 2},
		"subscription": {sqlite.DeadLetterFilter{Subscription: "test/panic"}, 1},
		"status":       {sqlite.DeadLetterFilter{Status: journal.LetterDropped}, 0},
		"type":         {sqlite.DeadLetterFilter{Type: "test.asked"}, 4},
		"other type":   {sqlite.DeadLetterFilter{Type: "test.answered"}, 0},
		"since":        {sqlite.DeadLetterFilter{Since: all[1].DeadAt}, 3},
		"limit":        {sqlite.DeadLetterFilter{Limit: 3}, 3},
	} {
		if got, err := r.DeadLetters(t.Context(), c.f); err != nil || len(got) != c.want {
			t.Errorf("%s: %d, want %d: %v", name, len(got), c.want, err)
		}
	}
	for _, l := range all {
		panicked := l.Subscription == "test/panic"
		if panicked != strings.Contains(l.Stack, "acts_test.go") || panicked != (l.Error == "panic: boom") {
			t.Errorf("dead letter %d of %s: %q with stack %q", l.ID, l.Subscription, l.Error, l.Stack)
		}
	}
	if string(all[0].Event.Data) != `{"key":"a","n":1}` || all[0].FirstFailed.IsZero() || all[0].Attempts != 1 {
		t.Errorf("dead letter is %+v", all[0])
	}
	if _, err := r.DeadLetter(t.Context(), 77); !errors.Is(err, sqlite.ErrNotFound) {
		t.Errorf("dead letter 77: %v", err)
	}
	causes, err := r.Causes(t.Context(), sqlite.DeadLetterFilter{})
	if err != nil || len(causes) != 2 {
		t.Fatalf("causes are %+v, %v", causes, err)
	}
	first := causes[0]
	if first.Error != "order #: no answer" || first.Count != 3 || first.Subscription != "test/work" || !first.Last.After(first.First) || causes[1].Error != "panic: boom" || causes[1].Count != 1 {
		t.Errorf("causes are %+v", causes)
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ query, says string }{
		"a record is missing":      {"DELETE FROM deliveries WHERE seq = 2 AND subscription = 3", "event 2 (test.asked"},
		"an event is missing":      {"DELETE FROM events WHERE seq = 2", "a delivery is recorded of event 2"},
		"cursor ahead":             {"UPDATE subscriptions SET cursor = 99 WHERE id = 3", "is at 99, the log ends at 4"},
		"pending is missing":       {"DELETE FROM pending WHERE state = 'blocked'", "is blocked, but not pending"},
		"pending too much":         {"INSERT INTO pending (subscription, key, seq, state) VALUES (3, 'b', 2, 'retrying')", "is pending as retrying"},
		"pending of another key":   {"UPDATE pending SET key = 'b'", "its key is another one"},
		"dead letter is missing":   {"DELETE FROM dead_letters", "is dead, but there is no dead letter"},
		"dead letter says else":    {"UPDATE dead_letters SET status = 'dropped'", "dead letter 1 is dropped, but its delivery is dead"},
		"delivery says else":       {"UPDATE deliveries SET outcome = 'done' WHERE outcome = 'dead'", "dead letter 1 is dead, but its delivery is done"},
		"emitted by nothing done":  {"UPDATE events SET subscription = 'test/work', causation_id = (SELECT id FROM events WHERE seq = 1) WHERE seq = 2", "is not recorded as done"},
		"act of a missing letter":  {"INSERT INTO acts (at, actor, act, dead_letter) VALUES (0, 'ada', 'drop', 77)", "a row of acts"},
		"a subscription too much":  {"INSERT INTO deliveries VALUES (1, 77, 'done', 1, 0, 0, NULL)", "by subscription 77"},
		"more than anybody reads":  {"DELETE FROM deliveries; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) INSERT INTO deliveries SELECT i + 100, 3, 'done', 1, 0, 0, NULL FROM n", "and 30 more times not so"},
		"what is right is let off": {"SELECT 1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "j.db")
			a := newPatient().run(t, path, true)
			a.publish(t, "f", asked{"a", 1}, asked{"b", 2}, asked{"a", 2}, asked{"", 2})
			a.stop()
			MustExec(t, path, c.query)
			wrong, err := MustRead(t, path).Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			switch all := strings.Join(wrong, "\n"); {
			case c.says == "" && all != "":
				t.Errorf("found %s", all)
			case !strings.Contains(all, c.says):
				t.Errorf("found %q, want %q", all, c.says)
			}
		})
	}
}
