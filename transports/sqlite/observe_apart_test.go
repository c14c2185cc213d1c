package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// A subscription that is new does not owe an answer to what was there before it; cursors move over what is answered,
// and no further.
func TestObserverKnowsLaterSubscriptions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "observer.db")
	j, o := MustObserve(t, path)
	var events []*journal.Event
	for i := range 2500 {
		events = append(events, &journal.Event{ID: fmt.Sprint(i), Type: "test.asked", CorrelationID: "f", Time: time.Unix(1, 0)})
	}
	var records []string
	for i := range 1500 {
		records = append(records, fmt.Sprintf(`{"event_id":"%d","event_type":"test.asked","subscription":"test/answer","outcome":"done"}`, i))
	}
	told := &journal.Event{ID: "r", Type: journal.RecordsType, Data: []byte("[" + strings.Join(records, ",") + "]")}
	mustTake(t, o, told)
	mustTake(t, o, events...)
	o, err := j.Observe(t.Context(), []journal.Subscription{{Name: "test/answer", Types: []string{"test.asked"}}, {Name: "test/new", Types: []string{"test.asked"}},
		{Name: "test/now", Types: []string{"test.asked"}, FromNow: true}})
	if err != nil {
		t.Fatal(err)
	}
	stats, err := j.Reader().Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range stats.Subscriptions {
		got[s.Name] = fmt.Sprintf("from %d, at %d, %d behind, retired %t", s.Start, s.Cursor, s.Lag, !s.Retired.IsZero())
	}
	wantSame(t, "answer", got["test/answer"], "from 0, at 1500, 1000 behind, retired false")
	wantSame(t, "new", got["test/new"], "from 2500, at 2500, 0 behind, retired false")
	wantSame(t, "fail", got["test/fail"], "from 0, at 0, 0 behind, retired true")
	wantObserved(t, j.Reader(), 0)

	// With its first answer it is known since when it is: it owes one to what came after that.
	mustTake(t, o, &journal.Event{ID: "r2", Type: journal.RecordsType, Version: 2,
		Data: []byte(`[{"event_id":"2000","event_type":"test.asked","subscription":"test/new","outcome":"done","attempts":1},
			{"event_id":"2001","event_type":"test.asked","subscription":"test/now","outcome":"done","attempts":1}]`)})
	if stats, err = j.Reader().Stats(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range stats.Subscriptions {
		if s.Name == "test/new" && (s.Start != 2000 || s.Lag != 499) {
			t.Errorf("after its first answer, new is from %d, %d behind", s.Start, s.Lag)
		}
		if s.Name == "test/now" && s.Start != 2500 {
			t.Errorf("one that wants nothing from before is from %d", s.Start)
		}
	}
	wantObserved(t, j.Reader(), 0)
}

// A subscription that is in no program any more, and owes nothing, is no trouble of an observer that never knew it.
func TestObserverIsToldWhatIsRetired(t *testing.T) {
	t.Parallel()
	owner := filepath.Join(t.TempDir(), "owner.db")
	MustRunTroubled(t, owner, false, 1, asked{"a", 1}, asked{"a", 2})
	for _, retired := range []bool{false, true} {
		if retired {
			for _, name := range []string{"test/fail", "test/later", "test/park"} {
				if _, err := sqlite.Retire(t.Context(), owner, sqlite.OpenAct{Subscription: name, Reason: "test"}); err != nil {
					t.Fatal(err)
				}
			}
			MustRun(t, owner, func(m *bus.Module) {
				bus.On(m, "answer", func(_ context.Context, e asked) (bus.Events, error) { return bus.Emit(answered(e)), nil }).Emits(answered{})
				m.ForOutside(answered{})
			}).stop()
		} else {
			MustRun(t, owner, wireTroubled(false)).stop()
		}
		events, records := MustFeed(t, owner)
		j, o := MustObserveSubs(t, filepath.Join(t.TempDir(), "observer.db"), observedSubs[:1])
		mustTake(t, o, slices.Concat(events, records)...)
		wantSettled(t, j.Reader(), retired)
	}
}

// The journal of an observer is never that of a deployable, nor the other way round; and nothing is decided on it.
func TestObserverAndDeployableKeepApart(t *testing.T) {
	t.Parallel()
	owner := filepath.Join(t.TempDir(), "owner.db")
	MustRunTroubled(t, owner, false, 1, asked{"a", 1})
	events, records := MustFeed(t, owner)
	own := MustOpen(t, owner, sqlite.Config{})
	if _, err := own.Observe(t.Context(), observedSubs); !errors.Is(err, sqlite.ErrDeployable) || !strings.Contains(err.Error(), owner) {
		t.Errorf("observing on a deployable's journal: %v", err)
	}

	j, o := MustObserve(t, filepath.Join(t.TempDir(), "observer.db"))
	mustTake(t, o, slices.Concat(events, records)...)
	says := func(what string, err error, text string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want it to say %q", what, err, text)
		}
	}
	b := bus.New(j, bus.Config{})
	wireTroubled(true)(b.Module("test").Emits(asked{}))
	says("running a bus", b.Run(t.Context()), "journal of an observer, which runs no modules")
	_, err := j.Feed(t.Context(), journal.FeedEvents)
	says("relaying", err, "journal of an observer")
	tables := fstest.MapFS{"1.sql": {Data: []byte("CREATE TABLE test_t (a INTEGER) STRICT")}}
	says("tables", j.Migrate(t.Context(), "test", tables), "journal of an observer")
	_, err = sqlite.Replay(t.Context(), j.Path(), sqlite.Act{})
	says("replaying", err, "only looks on")
	_, err = sqlite.Drop(t.Context(), j.Path(), sqlite.Act{})
	says("dropping", err, "only looks on")
	if letters, err := j.Reader().DeadLetters(t.Context(), sqlite.DeadLetterFilter{Status: journal.LetterDead}); err != nil || len(letters) != 2 {
		t.Errorf("dead letters: %v, %v", letters, err)
	}
	for path, want := range map[string]bool{owner: false, j.Path(): true} {
		err := MustRead(t, path).View(t.Context(), func(tx *sql.Tx) error {
			if is, err := sqlite.Observes(t.Context(), tx); err != nil || is != want {
				t.Errorf("%s is an observer's: %t, %v", path, is, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// What goes from one journal to another is known by its id and type. A journal that consumes a type since yesterday
// is not held to have what is older, nor is one that modules moved to.
func TestWhatIsMissing(t *testing.T) {
	t.Parallel()
	event := func(id, eventType, source string, at int64) *journal.Event {
		return &journal.Event{ID: id, Type: eventType, Source: source, CorrelationID: "f", Time: time.Unix(at, 0)}
	}
	put := func(events ...*journal.Event) string {
		path := filepath.Join(t.TempDir(), "j.db")
		j := MustOpen(t, path, sqlite.Config{})
		err := j.Do(t.Context(), journal.Work{}, func(journal.TxFunc) ([]*journal.Event, error) { return events, nil })
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	var many []*journal.Event
	for i := range 2500 {
		many = append(many, event(fmt.Sprint("m", i), "a.many", "a", 9))
	}
	from := put(append(many, event("1", "a.old", "a", 1), event("2", "a.old", "a", 2), event("3", "a.old", "a", 3), event("4", "a.new", "a", 4), event("5", "a.unwanted", "a", 5))...)
	to := put(append(many[:2400:2400], event("2", "a.old", "a", 2), event("1", "a.other", "a", 6), event("7", "a.gone", "a", 7), event("8", "b.own", "b", 8))...)
	look := func() (unarrived int, ids, unknown []string) {
		err := MustRead(t, from).View(t.Context(), func(a *sql.Tx) error {
			return MustRead(t, to).View(t.Context(), func(b *sql.Tx) error {
				late, err := sqlite.Unarrived(t.Context(), a, b, sqlite.Crossing{Sources: []string{"a"}, Types: []string{"a.many", "a.old", "a.new"}})
				for _, e := range late[max(0, len(late)-3):] {
					ids = append(ids, e.ID)
				}
				strange, err2 := sqlite.Unknown(t.Context(), a, b, []string{"a"})
				for _, e := range strange {
					unknown = append(unknown, e.Type+" "+e.ID)
				}
				unarrived = len(late)
				return errors.Join(err, err2)
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		return unarrived, ids, unknown
	}
	n, ids, unknown := look()
	wantSame(t, "unarrived", []any{n, ids}, []any{102, []string{"m2499", "3", "4"}})
	wantSame(t, "unknown", unknown, []string{"a.other 1", "a.gone 7"})
	MustExec(t, from, "INSERT INTO moves (id, at, act, modules, other, state, proof) VALUES ('x', 6500000, 'split', '[]', '', 'done', '{}'), ('y', 9000000, 'split', '[]', '', 'prepared', '{}')")
	_, _, unknown = look()
	wantSame(t, "unknown since it moved", unknown, []string{"a.gone 7"})
}
