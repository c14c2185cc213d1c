package sqlite_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
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

// wireTroubled has a reaction for everything that can become of a delivery. Until repaired, odd numbers fail.
func wireTroubled(repaired bool) func(*bus.Module) {
	return func(m *bus.Module) {
		m.ForOutside(answered{})
		bus.On(m, "answer", func(_ context.Context, e asked) (bus.Events, error) { return bus.Emit(answered(e)), nil }).Emits(answered{})
		fail := func(_ context.Context, e asked) (bus.Events, error) {
			if e.N%2 == 1 && !repaired {
				return nil, fmt.Errorf("number %d", e.N)
			}
			return nil, nil
		}
		bus.On(m, "fail", fail)
		bus.On(m, "park", fail).ParkKey()
		bus.On(m, "later", func(context.Context, asked) (bus.Events, error) {
			return nil, bus.RetryAfter(time.Hour, errors.New("not now"))
		})
		bus.On(m, "drop", func(context.Context, asked) (bus.Events, error) { return nil, bus.Drop("for nobody") })
		bus.On(m, "skip", func(context.Context, asked) (bus.Events, error) { return nil, nil }).When(func(asked) bool { return false })
	}
}

// MustRunTroubled runs such a bus until only what is retried in an hour is left, one of each of keys, and stops it.
func MustRunTroubled(tb testing.TB, path string, repaired bool, keys int, publish ...bus.Event) {
	tb.Helper()
	a := MustRun(tb, path, wireTroubled(repaired))
	if _, err := a.m.Publish(bus.Correlate(tb.Context(), "f"), publish...); err != nil {
		tb.Fatal(err)
	}
	for range time.Tick(time.Millisecond) {
		if b := a.j.Backlog(); b.Ready == 0 && b.InFlight == 0 && b.Retrying == keys {
			break
		}
	}
	a.stop()
}

// MustFeed returns what the journal at path has for others: its events, and a message for each record, or event to
// come.
func MustFeed(tb testing.TB, path string) (events, records []*journal.Event) {
	tb.Helper()
	j := MustOpen(tb, path, sqlite.Config{})
	defer func() { _ = j.Close() }() // again, with the test
	next := func(name journal.FeedName) []*journal.Event {
		f, err := j.Feed(tb.Context(), name)
		if err != nil {
			tb.Fatal(err)
		}
		found, err := f.Next(tb.Context(), 10_000)
		if err != nil {
			tb.Fatal(err)
		}
		return found
	}
	told, err := j.Feed(tb.Context(), journal.FeedRecords)
	if err != nil {
		tb.Fatal(err)
	}
	for e := range tellings(tb, told) {
		var all []json.RawMessage
		if err := json.Unmarshal(e.Data, &all); err != nil {
			tb.Fatal(err)
		}
		for _, one := range all {
			single := *e
			single.Data = slices.Concat([]byte("["), one, []byte("]"))
			records = append(records, &single)
		}
	}
	return next(journal.FeedEvents), records
}

// tellings are the events of a feed until it has told of some delivery: what is to come, it tells first.
func tellings(tb testing.TB, f journal.Feed) iter.Seq[*journal.Event] {
	return func(yield func(*journal.Event) bool) {
		ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
		defer cancel()
		for {
			events, err := f.Next(ctx, 10_000)
			if err != nil {
				tb.Fatal(err)
			}
			for _, e := range events {
				if !yield(e) || e.Type == journal.RecordsType {
					return
				}
			}
		}
	}
}

var observedSubs = []journal.Subscription{
	{Name: "test/answer", Types: []string{"test.asked"}}, {Name: "test/fail", Types: []string{"test.asked"}}, {Name: "test/park", Types: []string{"test.asked"}},
	{Name: "test/later", Types: []string{"test.asked"}}, {Name: "test/drop", Types: []string{"test.asked"}}, {Name: "test/skip", Types: []string{"test.asked"}},
}

func MustObserve(tb testing.TB, path string) (*sqlite.Journal, *sqlite.Observer) {
	tb.Helper()
	return MustObserveSubs(tb, path, observedSubs)
}

func MustObserveSubs(tb testing.TB, path string, subs []journal.Subscription) (*sqlite.Journal, *sqlite.Observer) {
	tb.Helper()
	j := MustOpen(tb, path, sqlite.Config{Synchronous: "off", SlowWork: -1, Logger: slog.New(slog.DiscardHandler)})
	o, err := j.Observe(tb.Context(), subs)
	if err != nil {
		tb.Fatal(err)
	}
	return j, o
}

func mustTake(tb testing.TB, o *sqlite.Observer, events ...*journal.Event) {
	tb.Helper()
	for i, e := range events { // those of the test are taken in by several observers
		fresh := *e
		events[i] = &fresh
	}
	if err := o.Take(tb.Context(), events); err != nil {
		tb.Fatal(err)
	}
}

// seen is everything about flow f, but for what only numbers it in one journal.
func seen(tb testing.TB, r *sqlite.Reader) string {
	tb.Helper()
	flows, err := r.Flow(tb.Context(), "f")
	if err != nil {
		tb.Fatal(err)
	}
	ids := map[int64]string{}
	for _, e := range flows[0].Events {
		ids[e.Seq] = e.ID
	}
	var lines []string
	for _, e := range flows[0].Events {
		for _, a := range e.Reactions {
			behind, dead := ids[a.BlockedBy], a.DeadLetter > 0
			a.BlockedBy, a.DeadLetter = 0, 0
			lines = append(lines, fmt.Sprintf("%s %+v behind %s, letter %t", e.ID, a, behind, dead))
		}
		e.Seq, e.Reactions = 0, nil
		lines = append(lines, fmt.Sprintf("%s %+v", e.ID, e))
	}
	letters, err := r.DeadLetters(tb.Context(), sqlite.DeadLetterFilter{})
	if err != nil {
		tb.Fatal(err)
	}
	for _, l := range letters {
		l, err := r.DeadLetter(tb.Context(), l.ID) // with its acts
		if err != nil {
			tb.Fatal(err)
		}
		l.ID, l.Event.Seq = 0, 0
		lines = append(lines, fmt.Sprintf("letter %+v", *l))
	}
	for _, e := range flows[0].Delayed {
		lines = append(lines, fmt.Sprintf("to come %+v", e))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// MustImage copies a journal that is in use: what a kill would leave.
func MustImage(tb testing.TB, path string) string {
	tb.Helper()
	image := filepath.Join(tb.TempDir(), "image.db")
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + end)
		if err != nil && end == "" {
			tb.Fatal(err)
		}
		MustWrite(tb, image+end, b)
	}
	return image
}

// Whatever comes first, however often, and with a kill in between: in the end the observer shows what the owner shows.
func TestObserverSeesWhatTheOwnerSees(t *testing.T) {
	t.Parallel()
	owner := filepath.Join(t.TempDir(), "owner.db")
	MustRunTroubled(t, owner, false, 4, asked{"a", 1}, asked{"a", 2}, asked{"b", 2}, asked{"a", 3}, asked{"", 5}, asked{"c", 7}, asked{"c", 8})
	events, records := MustFeed(t, owner)
	want := seen(t, MustRead(t, owner))
	for _, what := range []string{"dead", "blocked", "retrying", "dropped", "skipped", "done"} {
		if !strings.Contains(want, "Outcome:"+what) {
			t.Fatalf("nothing is %s in\n%s", what, want)
		}
	}
	if !strings.Contains(want, "Parked:true") || !strings.Contains(want, "behind 0") { // with which ids begin
		t.Fatalf("no key is parked, or nothing is behind another in\n%s", want)
	}

	var observers []string
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		path := filepath.Join(t.TempDir(), "observer.db")
		j, o := MustObserve(t, path)
		all := slices.Concat(records, events)
		if seed > 0 { // events of one topic stay in order; anything else may be
			all = shuffled(r, events, records)
		}
		kill := r.IntN(len(all))
		for i, e := range all {
			mustTake(t, o, all[max(0, i-r.IntN(3))], e)
			if i == kill {
				j, o = MustObserve(t, MustImage(t, path))
				path = j.Path()
				mustTake(t, o, slices.Clone(all[max(0, i-5):i+1])...)
			}
		}
		if got := seen(t, j.Reader()); got != want {
			t.Fatalf("seed %d: the observer sees\n%s\n\nwant\n%s", seed, got, want)
		}
		wantObserved(t, j.Reader(), 0)
		observers = append(observers, path)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}

	// What is dead is replayed: in vain, and again when the owner is repaired. What was told before comes again then.
	old := records
	for round, repaired := range []bool{false, true} {
		MustReplay(t, owner)
		MustRunTroubled(t, owner, repaired, 5, asked{"d", 9 + round})
		events, records = MustFeed(t, owner)
		want = seen(t, MustRead(t, owner))
		for seed, path := range observers {
			j, o := MustObserve(t, path)
			all := shuffled(rand.New(rand.NewPCG(uint64(seed), 1)), events, records)
			mustTake(t, o, slices.Clone(all)...)
			mustTake(t, o, all...)
			if repaired {
				mustTake(t, o, slices.Clone(old)...)
			}
			if got := seen(t, j.Reader()); got != want {
				t.Fatalf("seed %d, round %d: the observer sees\n%s\n\nwant\n%s", seed, round, got, want)
			}
			wantObserved(t, j.Reader(), 0)
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func shuffled(r *rand.Rand, events, records []*journal.Event) (all []*journal.Event) {
	records = slices.Clone(records)
	r.Shuffle(len(records), func(i, k int) { records[i], records[k] = records[k], records[i] })
	for len(events)+len(records) > 0 {
		from := &events
		if len(events) == 0 || len(records) > 0 && r.IntN(2) == 0 {
			from = &records
		}
		all, *from = append(all, (*from)[0]), (*from)[1:]
	}
	return all
}

func MustReplay(tb testing.TB, path string) {
	tb.Helper()
	if _, err := sqlite.Replay(tb.Context(), path, sqlite.Act{Actor: "test"}); err != nil {
		tb.Fatal(err)
	}
}

func wantObserved(tb testing.TB, r *sqlite.Reader, early int64) {
	tb.Helper()
	wrong, err := r.Check(tb.Context())
	if err != nil || len(wrong) > 0 {
		tb.Errorf("the observer's journal: %v: %v", wrong, err)
	}
	err = r.View(tb.Context(), func(tx *sql.Tx) error {
		recent, old, err := sqlite.Early(tb.Context(), tx, time.Now().Add(-time.Hour))
		if recent != early || old != 0 {
			tb.Errorf("%d early records and %d old ones, want %d", recent, old, early)
		}
		return err
	})
	if err != nil {
		tb.Error(err)
	}
}

// What nobody has answered is waited for; what emitted events before its record came is nothing wrong.
func TestObserverBetweenEventsAndRecords(t *testing.T) {
	t.Parallel()
	owner := filepath.Join(t.TempDir(), "owner.db")
	MustRunTroubled(t, owner, false, 1, asked{"b", 2})
	events, records := MustFeed(t, owner)
	j, o := MustObserve(t, filepath.Join(t.TempDir(), "observer.db"))
	mustTake(t, o, events...)
	flows, err := j.Reader().Flow(t.Context(), "f")
	if err != nil {
		t.Fatal(err)
	}
	if n := flows[0].Outcomes()[journal.Waiting]; n != len(observedSubs) {
		t.Errorf("%d reactions are waited for", n)
	}
	wantObserved(t, j.Reader(), 0)
	wantSettled(t, j.Reader(), false)

	early, o2 := MustObserve(t, filepath.Join(t.TempDir(), "early.db"))
	mustTake(t, o2, records...)
	wantObserved(t, early.Reader(), int64(len(records)))
}

// Two deployables have each an answer of their own bus to one event.
func TestObserverTellsBusesApart(t *testing.T) {
	t.Parallel()
	j, o := MustObserve(t, filepath.Join(t.TempDir(), "observer.db"))
	e := &journal.Event{ID: "x", Type: "test.stranger", CorrelationID: "f", Time: time.Unix(1, 0)}
	record := func(of, outcome string) *journal.Event {
		return &journal.Event{ID: of, Type: journal.RecordsType, Key: of,
			Data: fmt.Appendf(nil, `[{"event_id":"x","event_type":"test.stranger","subscription":"bus/unknown","outcome":%q,"attempts":1,"error":"unknown"}]`, outcome)}
	}
	mustTake(t, o, e, record("0123456789abcdef", "dead"), record("fedcba9876543210", "dropped"))
	events, err := j.Reader().Explain(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range events[0].Reactions {
		got = append(got, r.Subscription+" "+string(r.Outcome))
	}
	wantSame(t, "answers", got, []string{"bus/unknown@01234567 dead", "bus/unknown@fedcba98 dropped"})
	wantSettled(t, j.Reader(), true)
}

// What cannot be read is kept, and holds up nothing.
func TestObserverKeepsRecordsThatItCannotRead(t *testing.T) {
	t.Parallel()
	j, o := MustObserve(t, filepath.Join(t.TempDir(), "observer.db"))
	for i, data := range []string{`{}`, `[{"event_id":"x","event_type":"t","subscription":"s","outcome":"solved"}]`, `[{"outcome":"done"}]`, "\xff"} {
		mustTake(t, o, &journal.Event{ID: fmt.Sprint(i), Type: journal.RecordsType, Key: "short", Data: []byte(data)})
	}
	n := 0
	err := j.Reader().Events(t.Context(), sqlite.EventFilter{Types: []string{journal.RecordsType}}, func(*journal.Event) error { n++; return nil })
	if err != nil || n != 4 {
		t.Errorf("%d are kept: %v", n, err)
	}
}
