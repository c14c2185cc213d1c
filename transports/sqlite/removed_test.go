package sqlite

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/acts"
)

// A subscription is removed while it has a dead letter, a retry, and an event behind it: the next program is
// refused; when it is retired all the same, neither a replay nor a retry pretends that anybody will handle them, and they can be dropped.
func TestWhatARemovedSubscriptionLeaves(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	w := mustWork(t, path, Config{Synchronous: "off"}, journal.Subscription{})
	w.publish(t, 0, "a", "b", "b")
	w.answer(t, w.next(t), journal.Dead, 0)
	w.answer(t, w.next(t), journal.Retrying, time.Hour)
	w.until(t, 2, "SELECT count(*) FROM pending")
	if _, err := DropOpen(t.Context(), path, OpenAct{Subscription: "m/work"}); err == nil || !strings.Contains(err.Error(), "is not removed") {
		t.Errorf("drop what is open of a subscription that runs: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	j, err := Open(t.Context(), path, Config{Synchronous: "off", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	subs := []journal.Subscription{{Name: "m/new", Types: []string{"t"}}}
	if err := j.Fits(t.Context(), nil, subs); !errors.As(err, new(*OpenWorkError)) {
		t.Errorf("the start without it: %v", err)
	}
	mustSubscribe(t, j, subs...) // as an older version of this package did
	if err := j.Fits(t.Context(), nil, subs); err != nil {
		t.Fatal(err)
	}
	got := log.String()
	if strings.Count(got, "subscription=m/work") != 1 || !strings.Contains(got, "or drop the work") || !strings.Contains(got, "subscription=m/work events=0 retrying=1 blocked=1 dead_letters=1") {
		t.Errorf("the start says %q", got)
	}
	if _, err := Replay(t.Context(), path, Act{Select: DeadLetterFilter{IDs: []int64{1}}}); !errors.Is(err, ErrRetired) {
		t.Errorf("replay by id: %v", err)
	}
	left := map[string]int{}
	letters, err := Replay(t.Context(), path, Act{Left: func(name string, n int) { left[name] += n }})
	if err != nil || len(letters) != 0 || left["m/work"] != 1 {
		t.Errorf("replay all: %v, %v, left %v", letters, err, left)
	}
	if _, err := RetryNow(t.Context(), path, OpenAct{Subscription: "m/work"}); !errors.Is(err, ErrRetired) {
		t.Errorf("retry: %v", err)
	}
	if letters, err = Drop(t.Context(), path, Act{Reason: "removed", Select: DeadLetterFilter{Subscription: "m/work"}}); err != nil || len(letters) != 1 {
		t.Errorf("drop: %v, %v", letters, err)
	}
	if n, err := DropOpen(t.Context(), path, OpenAct{Reason: "removed", Subscription: "m/work"}); err != nil || n != 2 {
		t.Errorf("drop what is open: %d, %v", n, err)
	}
	if n, err := DropOpen(t.Context(), path, OpenAct{Subscription: "m/work"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("drop it again: %d, %v", n, err)
	}
	if wrong, err := j.Reader().Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("%q, %v", wrong, err)
	}
}

// A person has a retry tried that waits until tomorrow: of a key, of an event without one, of each once.
func TestRetryNow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	w := mustWork(t, path, Config{Synchronous: "off", ForeignCheck: time.Millisecond}, journal.Subscription{Parallel: 2})
	w.publish(t, 0, "a", "")
	for range 2 {
		w.answer(t, w.next(t), journal.Retrying, 24*time.Hour)
	}
	for _, a := range []OpenAct{{Key: "a"}, {Subscription: "m/work"}} {
		if n, err := RetryNow(t.Context(), path, a); err != nil || n != 1 {
			t.Fatalf("%+v: %d, %v", a, n, err)
		}
		d := w.next(t)
		if d.Event.Key != a.Key || d.Attempt != 2 {
			t.Errorf("%+v: attempt %d of key %q", a, d.Attempt, d.Event.Key)
		}
		w.answer(t, d, journal.Done, 0)
	}
	if _, err := RetryNow(t.Context(), path, OpenAct{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("nothing waits: %v", err)
	}
}

// The clock of a person who acts is an hour ahead of the owner's: what is to be tried at once is.
func TestPeopleWhoseClockIsAhead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	w := mustWork(t, path, Config{Synchronous: "off", ForeignCheck: time.Millisecond}, journal.Subscription{Parallel: 2})
	ahead := journal.WithClock(t.Context(), func() time.Time { return time.Now().Add(time.Hour) })
	w.publish(t, 0, "", "a")
	w.answer(t, w.next(t), journal.Dead, 0)
	if letters, err := Replay(ahead, path, Act{}); err != nil || len(letters) != 1 {
		t.Fatalf("%d letters, %v", len(letters), err)
	}
	for range 2 {
		d := w.next(t)
		if d.Event.Key == "" {
			w.answer(t, d, journal.Done, 0)
			continue
		}
		w.answer(t, d, journal.Retrying, 24*time.Hour)
	}
	if n, err := RetryNow(ahead, path, OpenAct{Key: "a"}); err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	w.answer(t, w.next(t), journal.Done, 0)
}

// Many dead letters are replayed and dropped in batches, each once, while the owner goes on.
func TestActsOnManyDeadLetters(t *testing.T) {
	t.Parallel()
	const letters = 2*acts.ActBatch + 100
	path := filepath.Join(t.TempDir(), "j.db")
	w := mustWork(t, path, Config{Synchronous: "off", ForeignCheck: time.Millisecond}, journal.Subscription{Parallel: 8})
	keys := make([]string, letters)
	for i := range keys {
		keys[i] = []string{"", "a", "b", "c"}[i%4]
	}
	w.publish(t, 100, keys...)
	for range letters {
		w.answer(t, w.next(t), journal.Dead, 0)
	}
	done, err := Replay(t.Context(), path, Act{Reason: "test"})
	if err != nil || len(done) != letters || done[0].Event.Data != nil || done[0].Status != journal.LetterReplaying {
		t.Fatalf("%d letters, %v", len(done), err)
	}
	newest := map[string]int64{}
	for n := range letters {
		d := w.next(t)
		if k := d.Event.Key; k != "" && d.Event.Seq < newest[k] {
			t.Fatalf("event %d of key %s came after %d", d.Event.Seq, k, newest[k])
		}
		newest[d.Event.Key] = d.Event.Seq
		w.answer(t, d, map[bool]journal.Outcome{true: journal.Done, false: journal.Dead}[n < letters/2], 0)
	}
	if done, err = Drop(t.Context(), path, Act{Reason: "test"}); err != nil || len(done) != letters-letters/2 {
		t.Fatalf("%d letters, %v", len(done), err)
	}
	w.until(t, 0, "SELECT count(*) FROM dead_letters WHERE status NOT IN ('replayed', 'dropped')")
	if wrong, err := w.Reader().Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("%q, %v", wrong, err)
	}
}

// The name of a subscription is its place in the journal: under another one it begins again, and what it did is done
// twice.
func TestARenamedSubscriptionIsReported(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	w := mustWork(t, path, Config{Synchronous: "off"}, journal.Subscription{})
	w.publish(t, 0, "a")
	w.answer(t, w.next(t), journal.Done, 0)
	w.until(t, 1, "SELECT count(*) FROM deliveries WHERE outcome = 'done'")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	j, err := Open(t.Context(), path, Config{Synchronous: "off", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	types := []string{"t"}
	for _, c := range []struct {
		what string
		warn bool
		subs []journal.Subscription
	}{
		{"renamed", true, []journal.Subscription{{Name: "m/new", Types: types}}},
		{"renamed and begun anew", false, []journal.Subscription{{Name: "m/new", Types: types, FromNow: true}}},
		{"a second one", false, []journal.Subscription{{Name: "m/new", Types: types}, {Name: "m/work", Types: types}}},
		{"another module's", false, []journal.Subscription{{Name: "n/new", Types: types}}},
		{"another type", false, []journal.Subscription{{Name: "m/new", Types: []string{"u"}}}},
	} {
		log.Reset()
		if err := j.Fits(t.Context(), nil, c.subs); err != nil {
			t.Fatal(err)
		}
		if got := log.String(); strings.Contains(got, "subscription=m/new removed=m/work") != c.warn {
			t.Errorf("%s: the start says %q", c.what, got)
		}
	}
}
