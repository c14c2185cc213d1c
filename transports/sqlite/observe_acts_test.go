package sqlite_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
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

// reminded comes a day after it was emitted.
type reminded struct{ N int }

func (reminded) EventType() string  { return "test.reminded" }
func (e reminded) EventKey() string { return fmt.Sprint(e.N) }

// wireActed has reactions that die until repaired, one of which parks its keys, and one that reminds.
func wireActed(repaired bool) func(*bus.Module) {
	return func(m *bus.Module) {
		m.ForOutside(reminded{})
		fail := func(_ context.Context, e asked) (bus.Events, error) {
			if e.N%2 == 1 && !repaired {
				return nil, fmt.Errorf("number %d", e.N)
			}
			return nil, nil
		}
		twice := bus.Retry{Attempts: 2, First: time.Millisecond, Jitter: -1}
		bus.On(m, "fail", fail).Retry(twice)
		bus.On(m, "park", fail).Retry(twice).ParkKey()
		bus.On(m, "answer", func(_ context.Context, e asked) (bus.Events, error) {
			return bus.Emit(bus.After(24*time.Hour, reminded{e.N}), bus.After(24*time.Hour, reminded{-e.N})), nil
		}).Emits(reminded{})
	}
}

// MustRunActed runs such a bus until it is quiet, and stops it.
func MustRunActed(tb testing.TB, path string, repaired bool, publish ...bus.Event) {
	tb.Helper()
	a := MustRun(tb, path, wireActed(repaired))
	if _, err := a.m.Publish(bus.Correlate(tb.Context(), "f"), publish...); err != nil {
		tb.Fatal(err)
	}
	if err := a.j.Quiet(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	a.stop()
}

// MustObserveActed has an observer know what such a bus has.
func MustObserveActed(tb testing.TB, path string) (*sqlite.Journal, *sqlite.Observer) {
	tb.Helper()
	var subs []journal.Subscription
	for _, name := range []string{"test/fail", "test/park", "test/answer"} {
		subs = append(subs, journal.Subscription{Name: name, Types: []string{"test.asked"}})
	}
	return MustObserveSubs(tb, path, subs)
}

// wantSeen fails the test with the lines that differ.
func wantSeen(tb testing.TB, r *sqlite.Reader, want string) {
	tb.Helper()
	got := seen(tb, r)
	for line := range strings.SplitSeq(got, "\n") {
		if !strings.Contains(want, line) {
			tb.Errorf("the observer sees\n%s", line)
		}
	}
	for line := range strings.SplitSeq(want, "\n") {
		if !strings.Contains(got, line) {
			tb.Errorf("the observer does not see\n%s", line)
		}
	}
}

// life is the life of an owner: what it has to tell after each thing that people did, and what there is to see in the
// end.
type life struct {
	path            string
	events, records []*journal.Event
	stages          [][]*journal.Event
	want            string
}

// MustLive has dead letters dropped, replayed in vain, replayed and handled, and left alone.
func MustLive(tb testing.TB) *life {
	tb.Helper()
	l := &life{path: filepath.Join(tb.TempDir(), "owner.db")}
	tell := func() {
		events, records := MustFeed(tb, l.path)
		l.events, l.records, l.stages = events, append(l.records, records...), append(l.stages, records)
	}
	do := func(act func(context.Context, string, sqlite.Act) ([]journal.DeadLetter, error), why string, f sqlite.DeadLetterFilter) {
		if _, err := act(tb.Context(), l.path, sqlite.Act{Actor: "ada", Reason: why, Select: f}); err != nil {
			tb.Fatal(err)
		}
		tell()
	}
	MustRunActed(tb, l.path, false, asked{"a", 1}, asked{"a", 2}, asked{"b", 3}, asked{"", 5}, asked{"c", 7})
	tell()
	do(sqlite.Drop, "for nobody", sqlite.DeadLetterFilter{IDs: []int64{1, 2}})
	do(sqlite.Replay, "perhaps now", sqlite.DeadLetterFilter{Subscription: "test/fail"})
	do(sqlite.Replay, "or now", sqlite.DeadLetterFilter{Subscription: "test/park"})
	MustRunActed(tb, l.path, false, asked{"d", 9})
	tell()
	do(sqlite.Replay, "it is repaired", sqlite.DeadLetterFilter{Subscription: "test/park"})
	MustRunActed(tb, l.path, true, asked{"d", 10})
	MustRunActed(tb, l.path, false, asked{"e", 11})
	tell()
	do(sqlite.Replay, "it waits", sqlite.DeadLetterFilter{IDs: []int64{MustNewest(tb, l.path)}})
	l.want = seen(tb, MustRead(tb, l.path))
	for _, what := range []string{"Status:replayed", "Status:dropped", "Status:dead", "Status:replaying", "Reason:perhaps now", "to come {"} {
		if !strings.Contains(l.want, what) {
			tb.Fatalf("nothing is %s in\n%s", what, l.want)
		}
	}
	return l
}

// MustNewest is the newest dead letter that nobody has acted on.
func MustNewest(tb testing.TB, path string) int64 {
	tb.Helper()
	letters, err := MustRead(tb, path).DeadLetters(tb.Context(), sqlite.DeadLetterFilter{Status: journal.LetterDead, Limit: 1})
	if err != nil || len(letters) != 1 {
		tb.Fatalf("%d dead letters: %v", len(letters), err)
	}
	return letters[0].ID
}

// All that was ever told of each delivery, in any order, more than once and with a kill in between: in the end the
// observer has the last of it, with all that people did, and what is still to come.
func TestObserverKnowsActsAndWhatIsToCome(t *testing.T) {
	t.Parallel()
	l := MustLive(t)
	for seed := range uint64(15) {
		r := rand.New(rand.NewPCG(seed, 2))
		path := filepath.Join(t.TempDir(), "observer.db")
		j, o := MustObserveActed(t, path)
		all := shuffled(r, l.events, l.records)
		if seed == 0 { // the last of it first, and what it is of at the end
			all = slices.Concat(l.records, l.events)
			slices.Reverse(all[:len(l.records)])
		}
		kill := r.IntN(len(all))
		for i, e := range all {
			mustTake(t, o, all[max(0, i-r.IntN(3))], e)
			if i == kill {
				j, o = MustObserveActed(t, MustImage(t, path))
				mustTake(t, o, slices.Clone(all[max(0, i-5):i+1])...)
			}
		}
		if wantSeen(t, j.Reader(), l.want); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		wantObserved(t, j.Reader(), 0)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What is to come has come, whichever is told first; and it is told of for ever by who was never told that it came.
func TestObserverForgetsWhatHasCome(t *testing.T) {
	t.Parallel()
	come := &journal.Event{ID: "x", Type: "test.reminded", CorrelationID: "f", Time: time.Unix(5, 0)}
	told := &journal.Event{ID: "j-1", Type: journal.DelayedType, Key: "j", Data: []byte(`[
		{"id": "x", "type": "test.reminded", "due": "1970-01-01T00:00:05Z", "correlation_id": "f"},
		{"id": "y", "type": "test.reminded", "due": "1970-01-01T00:00:05Z", "correlation_id": "f", "more": 1}]`)}
	for name, order := range map[string][]*journal.Event{"as it is": {told, come}, "late": {come, told}, "again": {told, told, come, told}} {
		j, o := MustObserveActed(t, filepath.Join(t.TempDir(), "observer.db"))
		for _, e := range order {
			mustTake(t, o, e)
		}
		flows, err := j.Reader().Flow(t.Context(), "f")
		if err != nil {
			t.Fatal(err)
		}
		if f := flows[0]; len(f.Events) != 1 || len(f.Delayed) != 1 || f.Delayed[0].ID != "y" {
			t.Errorf("%s: events %+v, to come %+v", name, f.Events, f.Delayed)
		}
		wantSettled(t, j.Reader(), false)
	}
}

// What a deployable of an older program tells: what became of deliveries, in their order, and nothing of people.
func TestObserverReadsRecordsOfVersion1(t *testing.T) {
	t.Parallel()
	l := MustLive(t)
	j, o := MustObserveActed(t, filepath.Join(t.TempDir(), "observer.db"))
	mustTake(t, o, slices.Clone(l.events)...)
	for _, stage := range l.stages {
		for _, e := range stage {
			if old := version1(t, e); old != nil {
				mustTake(t, o, old)
			}
		}
	}
	var withoutActs []string
	for line := range strings.SplitSeq(l.want, "\n") {
		if before, _, found := strings.Cut(line, "Acts:"); found {
			line = before + "Acts:[]}"
		}
		if !strings.HasPrefix(line, "to come") {
			withoutActs = append(withoutActs, line)
		}
	}
	wantSeen(t, j.Reader(), strings.Join(withoutActs, "\n"))
	mustTake(t, o, shuffled(rand.New(rand.NewPCG(1, 1)), nil, l.records)...) // the deployable is newer from now on
	wantSeen(t, j.Reader(), l.want)
	wantObserved(t, j.Reader(), 0)
}

// recordV1 is what programs read that know records of version 1 only. It does not change with them.
type recordV1 struct {
	EventID      string    `json:"event_id"`
	EventType    string    `json:"event_type"`
	Subscription string    `json:"subscription"`
	Outcome      string    `json:"outcome"`
	Attempts     int       `json:"attempts"`
	Started      time.Time `json:"started"`
	DurationUS   int64     `json:"duration_us"`
	Error        string    `json:"error,omitempty"`
	Stack        string    `json:"stack,omitempty"`
	RetryAt      time.Time `json:"retry_at,omitzero"`
	FirstFailed  time.Time `json:"first_failed,omitzero"`
	DeadAt       time.Time `json:"dead_at,omitzero"`
	Parked       bool      `json:"parked,omitempty"`
}

// version1 is e as an older program tells it, which is also what an older observer makes of e; nil where it tells
// nothing.
func version1(tb testing.TB, e *journal.Event) *journal.Event {
	tb.Helper()
	if e.Type != journal.RecordsType {
		return nil
	}
	var records []recordV1
	if err := json.Unmarshal(e.Data, &records); err != nil {
		tb.Fatal(err)
	}
	for i := range records {
		r := &records[i]
		dead := r.Outcome == "dead"
		if r.EventID == "" || r.EventType == "" || r.Subscription == "" || dead && (r.FirstFailed.IsZero() || r.DeadAt.IsZero()) {
			tb.Fatalf("an older observer cannot read %s", e.Data)
		}
		if !dead {
			r.Stack, r.FirstFailed, r.DeadAt = "", time.Time{}, time.Time{}
		}
	}
	old := *e
	old.Version = 1
	var err error
	if old.Data, err = json.Marshal(records); err != nil {
		tb.Fatal(err)
	}
	return &old
}

// MustDowngrade makes the journal at path what the version before had made of it.
func MustDowngrade(tb testing.TB, path string) {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("internal", "schema", "schema", "0003_observed.sql"))
	if err != nil {
		tb.Fatal(err)
	}
	trigger := string(text[strings.Index(string(text), "CREATE TRIGGER observer_decides_nothing"):])
	db, err := sql.Open("sqlite3", path)
	if err == nil {
		_, err = db.ExecContext(tb.Context(), `DELETE FROM migrations WHERE name = 'schema/0006_acts.sql'; DROP INDEX acts_of_dead_letters; `+trigger)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		tb.Fatal(err)
	}
}

// Journals of the version before: the owner tells once more of what was dead, and the observer hears what people did.
func TestActsAreToldAfterAnUpgrade(t *testing.T) {
	t.Parallel()
	l := MustLive(t)
	path := filepath.Join(t.TempDir(), "observer.db")
	j, o := MustObserveActed(t, path)
	mustTake(t, o, slices.Clone(l.events)...)
	for _, stage := range l.stages {
		for _, e := range stage {
			if old := version1(t, e); old != nil {
				mustTake(t, o, old)
			}
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{l.path, path} {
		MustDowngrade(t, p)
	}
	MustForget(t, l.path)
	MustDowngradeRefuses(t, l.path)

	_, records := MustFeed(t, l.path)
	if n := len(records); n == 0 || n >= len(l.stages[len(l.stages)-1]) {
		t.Errorf("%d things are told once more", n)
	}
	j, o = MustObserveActed(t, path)
	mustTake(t, o, records...)
	wantSeen(t, j.Reader(), l.want)
	wantObserved(t, j.Reader(), 0)
}

// MustForget has all been told that is noted in the journal at path.
func MustForget(tb testing.TB, path string) {
	tb.Helper()
	db, err := sql.Open("sqlite3", path)
	if err == nil {
		_, err = db.ExecContext(tb.Context(), "DELETE FROM records")
	}
	if err := errors.Join(err, db.Close()); err != nil {
		tb.Fatal(err)
	}
}

// MustDowngradeRefuses makes sure that the journal at path is one of the version before: a reader wants it upgraded.
func MustDowngradeRefuses(tb testing.TB, path string) {
	tb.Helper()
	if _, err := sqlite.OpenReader(tb.Context(), path); err == nil || !strings.Contains(err.Error(), "0006_acts.sql") {
		tb.Errorf("reading the journal of the version before: %v", err)
	}
}
