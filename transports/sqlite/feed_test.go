package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

func mustOpen(t *testing.T, path string) *Journal {
	t.Helper()
	j, err := Open(t.Context(), path, Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

func mustFeed(t *testing.T, j *Journal, name journal.FeedName) journal.Feed {
	t.Helper()
	f, err := j.Feed(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func mustAppend(t *testing.T, j *Journal, events ...*journal.Event) {
	t.Helper()
	err := j.Do(t.Context(), journal.Work{Name: "test"}, func(journal.TxFunc) ([]*journal.Event, error) { return events, nil })
	if err != nil {
		t.Fatal(err)
	}
}

func plain(id string) *journal.Event {
	return &journal.Event{ID: id, Type: "t", Version: 1, Source: "m", Key: "k", CorrelationID: "f", Time: time.Now()}
}

func mustNext(t *testing.T, f journal.Feed, limit int) (ids []string, last int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	events, err := f.Next(ctx, limit)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		ids, last = append(ids, e.ID), e.Seq
	}
	return ids, last
}

func TestAFeedKeepsItsPlace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j := mustOpen(t, path)
	f := mustFeed(t, j, journal.FeedEvents)
	mustAppend(t, j, plain("1"), plain("2"), plain("3"))
	if ids, _ := mustNext(t, f, 2); !slices.Equal(ids, []string{"1", "2"}) {
		t.Errorf("at first: %v", ids)
	}
	ids, last := mustNext(t, f, 2)
	if !slices.Equal(ids, []string{"3"}) || f.Lag() != 3 {
		t.Errorf("then: %v, %d behind", ids, f.Lag())
	}
	f.Passed(last - 1)
	if f.Lag() != 1 {
		t.Errorf("%d behind, want 1", f.Lag())
	}
	if _, err := j.Feed(t.Context(), journal.FeedEvents); err == nil {
		t.Error("it can be opened twice")
	}
	ended := make(chan error, 1)
	go func() {
		_, err := f.Next(context.Background(), 1)
		ended <- err
	}()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, journal.ErrClosed) {
		t.Errorf("who waits when the journal is closed gets %v", err)
	}
	j = mustOpen(t, path)
	mustAppend(t, j, plain("4"), plain("3"))
	f = mustFeed(t, j, journal.FeedEvents)
	if ids, _ := mustNext(t, f, 10); !slices.Equal(ids, []string{"3", "4"}) {
		t.Errorf("what was not passed comes again: %v, want 3 and 4", ids)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Next(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that is over: %v", err)
	}
}

// Every answer is told, also those from before anybody asked, and what people decide in other processes.
func TestTheFeedOfRecords(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j := mustOpen(t, path)
	out := mustDeliver(t, mustSubscribe(t, j, journal.Subscription{Name: "m/work", Types: []string{"t"}, Parallel: 1})["m/work"])
	answer := func(v journal.Verdict) {
		d := journal.FromContext((<-out).Context())
		v.Started = time.Now()
		if err := j.React(t.Context(), d, journal.Work{}, func(journal.TxFunc) journal.Verdict { return v }); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, j, plain("1"))
	answer(journal.Verdict{Outcome: journal.Done})
	f := mustFeed(t, j, journal.FeedRecords)
	mustAppend(t, j, plain("2"), plain("3"))
	answer(journal.Verdict{Outcome: journal.Dead, Err: "it is broken", Stack: "main.go:1"})
	answer(journal.Verdict{Outcome: journal.Retrying, Err: "later", RetryAt: time.Now().Add(time.Hour)})
	want := []string{"1 done ", "2 dead it is broken", "3 retrying later"}
	got, records, last := mustRecords(t, f, len(want))
	if !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if r := records[1]; r.Stack != "main.go:1" || r.DeadAt.IsZero() || r.Attempts != 1 || r.EventType != "t" || r.Subscription != "m/work" {
		t.Errorf("of the dead letter: %+v", r)
	}
	if records[2].RetryAt.IsZero() {
		t.Errorf("of the retry: %+v", records[2])
	}
	f.Passed(last)
	if _, err := Drop(t.Context(), path, Act{Actor: "ada", Reason: "not worth it", Select: DeadLetterFilter{Subscription: "m/work"}}); err != nil {
		t.Fatal(err)
	}
	if got, _, _ := mustRecords(t, f, 1); !slices.Equal(got, []string{"2 dropped not worth it"}) {
		t.Errorf("told of the act: %q", got)
	}
}

// What is to come is told of whenever the feed is opened, until it has come. That it has, the event itself says.
func TestTheFeedTellsWhatIsToCome(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	later, soon := plain("later"), plain("soon")
	later.Due, soon.Due = time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond), time.Now().Add(time.Hour)
	later.CausationID, later.Subscription = "1", "m/work"
	for _, want := range []string{"later soon", "later"} {
		j := mustOpen(t, path)
		f := mustFeed(t, j, journal.FeedRecords)
		sent := mustFeed(t, j, journal.FeedEvents)
		if want == "later soon" {
			mustAppend(t, j, later, soon)
		}
		var ids []string
		for len(ids) < len(strings.Fields(want)) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			events, err := f.Next(ctx, 1)
			if cancel(); err != nil {
				t.Fatal(err)
			}
			var told []journal.Delayed
			if err := json.Unmarshal(events[0].Data, &told); err != nil || events[0].Type != journal.DelayedType || events[0].Key != j.ID() {
				t.Fatalf("told %+v: %v", events[0], err)
			}
			f.Passed(events[0].Seq)
			for _, d := range told {
				if ids = append(ids, d.ID); d.ID != "later" {
					continue
				}
				if d.Type != "t" || d.Key != "k" || d.CorrelationID != "f" || d.CausationID != "1" || d.Subscription != "m/work" || !d.Due.Equal(later.Due) {
					t.Errorf("told %+v", d)
				}
			}
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("told of %s, want %s", got, want)
		}
		if want == "later soon" {
			mustComeTrue(t, j, soon)
		}
		if ids, _ := mustNext(t, sent, 1); ids[0] != "soon" {
			t.Errorf("%v has come", ids)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// mustComeTrue has an event that is to come be due now.
func mustComeTrue(t *testing.T, j *Journal, e *journal.Event) {
	t.Helper()
	err := j.Do(t.Context(), journal.Work{Name: "test"}, func(tx journal.TxFunc) ([]*journal.Event, error) {
		_, err := tx().Exec("UPDATE delayed SET due_at = 0 WHERE event_id = ?", e.ID)
		return nil, err
	})
	if err == nil {
		_, err = j.appendDue()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// An event that was cancelled between the look at the clock and the commit does not come.
func TestCancelledAtTheLastMoment(t *testing.T) {
	t.Parallel()
	j := mustOpen(t, filepath.Join(t.TempDir(), "j.db"))
	do := func(events ...*journal.Event) {
		err := j.Do(t.Context(), journal.Work{Name: "test"}, func(journal.TxFunc) ([]*journal.Event, error) { return events, nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	later := &journal.Event{ID: "x", Type: "t", Source: "m", Key: "k", Timer: "r", CorrelationID: "f", Data: []byte("{}"), Due: time.Now().Add(time.Hour)}
	other := &journal.Event{ID: "y", Type: "t", Source: "m", Key: "l", Timer: "r", CorrelationID: "f", Data: []byte("{}"), Due: later.Due}
	do(later, other)
	due, err := j.due(time.Now().Add(2 * time.Hour))
	if err != nil || len(due) != 2 {
		t.Fatalf("%d events are due: %v", len(due), err)
	}
	do(&journal.Event{Source: "m", Key: "k", Timer: "r", Time: time.Now()})
	if err := j.appendThese(due); err != nil {
		t.Fatal(err)
	}
	if s, err := j.Reader().Stats(t.Context()); err != nil || s.Events != 1 || s.Delayed != 0 || s.Cancelled != 1 {
		t.Errorf("%d events, %d to come, %d cancelled: %v", s.Events, s.Delayed, s.Cancelled, err)
	}
}

// To an observer, what is due comes from elsewhere, with its payload.
func TestAnObserverMakesNoEvents(t *testing.T) {
	t.Parallel()
	j := mustOpen(t, filepath.Join(t.TempDir(), "j.db"))
	o, err := j.Observe(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	told := &journal.Event{ID: "j-1", Type: journal.DelayedType, Data: []byte(`[{"id": "x", "type": "t", "due": "1970-01-01T00:00:05Z", "correlation_id": "f"}]`)}
	if err := o.Take(t.Context(), []*journal.Event{told}); err != nil {
		t.Fatal(err)
	}
	if next, err := j.appendDue(); err != nil || !next.After(time.Now()) {
		t.Errorf("the next one is due at %v: %v", next, err)
	}
	if s, err := j.Reader().Stats(t.Context()); err != nil || s.Events != 0 || s.Delayed != 1 {
		t.Errorf("%d events, %d to come: %v", s.Events, s.Delayed, err)
	}
}

// A message that a transport refuses for its size would hold up all that come after it.
func TestRecordsFitIntoAMessage(t *testing.T) {
	t.Parallel()
	const letters = 50
	j := mustOpen(t, filepath.Join(t.TempDir(), "j.db"))
	f := mustFeed(t, j, journal.FeedRecords)
	out := mustDeliver(t, mustSubscribe(t, j, journal.Subscription{Name: "m/work", Types: []string{"t"}, Parallel: 1})["m/work"])
	long := strings.Repeat("\x01", 32<<10) // six bytes each in JSON
	for i := range letters {
		mustAppend(t, j, plain(fmt.Sprint(i)))
		text := long
		if i%3 < 2 { // what is added last is much
			text = long[:4<<10]
		}
		v := journal.Verdict{Outcome: journal.Dead, Err: text, Stack: text, Started: time.Now()}
		if err := j.React(t.Context(), journal.FromContext((<-out).Context()), journal.Work{}, func(journal.TxFunc) journal.Verdict { return v }); err != nil {
			t.Fatal(err)
		}
	}
	err := j.Do(t.Context(), journal.Work{Name: "test"}, func(tx journal.TxFunc) ([]*journal.Event, error) {
		_, err := tx().Exec(`
INSERT INTO acts (at, actor, act, dead_letter, reason) SELECT l.id, ?1, 'replay', l.id, ?1 FROM dead_letters l, json_each('[1,2,3,4,5,6,7,8,9,10,11,12]');
UPDATE deliveries SET outcome = 'retrying'`, long)
		return nil, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for told := 0; told < letters; {
		events, err := f.Next(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		var records []journal.Record
		if err := json.Unmarshal(events[0].Data, &records); err != nil || len(events[0].Data) > 1<<20 {
			t.Fatalf("%d bytes: %v", len(events[0].Data), err)
		}
		told += len(records)
		if r := records[0]; len(r.Acts) != 10 || r.DeadError == "" || r.AllAttempts != 1 {
			t.Fatalf("told of %d acts, %d bytes of what it died of, %d attempts", len(r.Acts), len(r.DeadError), r.AllAttempts)
		}
	}
}

// When nobody is told any more, nothing is noted; when somebody is again, he hears of everything.
func TestRecordsEndWithTheirFeed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	spec := journal.Subscription{Name: "m/work", Types: []string{"t"}, Parallel: 1}
	for _, told := range []bool{true, false, true} {
		j := mustOpen(t, path)
		var f journal.Feed
		if told {
			f = mustFeed(t, j, journal.FeedRecords)
		}
		out := mustDeliver(t, mustSubscribe(t, j, spec)["m/work"])
		mustAppend(t, j, plain(fmt.Sprint(j.tail.Newest())))
		v := journal.Verdict{Outcome: journal.Done, Started: time.Now()}
		if err := j.React(t.Context(), journal.FromContext((<-out).Context()), journal.Work{}, func(journal.TxFunc) journal.Verdict { return v }); err != nil {
			t.Fatal(err)
		}
		if told {
			if got, _, _ := mustRecords(t, f, int(j.tail.Newest())); len(got) != int(j.tail.Newest()) {
				t.Errorf("told %q of %d", got, j.tail.Newest())
			}
		}
		var noted int
		if err := j.View(t.Context(), func(tx *sql.Tx) error { return tx.QueryRow("SELECT count(*) FROM records").Scan(&noted) }); err != nil {
			t.Fatal(err)
		}
		if !told && noted != 0 {
			t.Errorf("%d records for nobody", noted)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func mustRecords(t *testing.T, f journal.Feed, n int) (text []string, records []journal.Record, last int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for len(records) < n {
		events, err := f.Next(ctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		var more []journal.Record
		if err := json.Unmarshal(events[0].Data, &more); err != nil || events[0].Type != journal.RecordsType {
			t.Fatalf("%+v: %v", events[0], err)
		}
		records, last = append(records, more...), events[0].Seq
	}
	for _, r := range records {
		text = append(text, fmt.Sprint(r.EventID, " ", r.Outcome, " ", r.Error))
	}
	return text, records, last
}

func TestEveryJournalIsAnother(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j, other := mustOpen(t, path), mustOpen(t, filepath.Join(t.TempDir(), "j.db"))
	if len(j.ID()) != 16 || j.ID() == other.ID() {
		t.Errorf("ids %q and %q", j.ID(), other.ID())
	}
	id := j.ID()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if again := mustOpen(t, path); again.ID() != id {
		t.Errorf("it was %q, and is %q", id, again.ID())
	}
}

// What a module has under way is not left behind when the module is to run elsewhere.
func TestAModuleThatIsElsewhereIsNotLeftBehind(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j := mustOpen(t, path)
	spec := journal.Subscription{Name: "pay/charge", Types: []string{"t"}}
	mustSubscribe(t, j, spec)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = mustOpen(t, path)
	spec.Elsewhere = true
	if _, err := j.Subscribe(t.Context(), []journal.Subscription{spec}); err == nil {
		t.Error("it is left behind")
	}
	fresh := mustOpen(t, filepath.Join(t.TempDir(), "j.db"))
	if subs, err := fresh.Subscribe(t.Context(), []journal.Subscription{spec}); err != nil || len(subs) != 0 {
		t.Errorf("a fresh journal: %v, %v", subs, err)
	}
}
