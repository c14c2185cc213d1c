package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/dispatch"
)

const patience = 20 * time.Second

// worked is a journal with one subscription, whose deliveries a test answers by hand.
type worked struct {
	*Journal
	out <-chan *message.Message
}

func mustWork(t *testing.T, path string, c Config, sub journal.Subscription) *worked {
	t.Helper()
	j, err := Open(t.Context(), path, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	sub.Name, sub.Types = "m/work", []string{"t"}
	return &worked{j, mustDeliver(t, mustSubscribe(t, j, sub)["m/work"])}
}

func (w *worked) publish(t *testing.T, size int, keys ...string) {
	t.Helper()
	messages := make([]*message.Message, len(keys))
	for i, k := range keys {
		messages[i] = message.NewMessage(fmt.Sprint(k, "-", time.Now().UnixNano(), "-", i), make([]byte, size))
		if k != "" {
			messages[i].Metadata.Set(metaKey, k)
		}
	}
	if err := w.Publisher().Publish("t", messages...); err != nil {
		t.Fatal(err)
	}
}

// next is the next delivery.
func (w *worked) next(t *testing.T) *journal.Delivery {
	t.Helper()
	select {
	case msg := <-w.out:
		msg.Ack()
		return journal.FromContext(msg.Context())
	case <-time.After(patience):
		t.Fatalf("nothing came: %+v", w.Backlog())
		return nil
	}
}

// answer records what became of d. A retry is due after a pause.
func (w *worked) answer(t *testing.T, d *journal.Delivery, o journal.Outcome, pause time.Duration) {
	t.Helper()
	err := w.React(t.Context(), d, journal.Work{Name: "m/work"}, func(journal.TxFunc) journal.Verdict {
		now := w.cfg.now()
		v := journal.Verdict{Outcome: o, Started: now}
		if o != journal.Done {
			v.Err, v.RetryAt = "planned", now.Add(pause)
		}
		return v
	})
	if err != nil {
		t.Fatal(err)
	}
}

// until waits for a number to be in the journal.
func (w *worked) until(t *testing.T, want int, query string) {
	t.Helper()
	enough := time.After(patience)
	for got := -1; got != want; {
		if err := w.readers.QueryRowContext(t.Context(), query).Scan(&got); err != nil {
			t.Fatal(err)
		}
		select {
		case <-time.After(time.Millisecond):
		case <-enough:
			t.Fatalf("%s is %d, want %d", query, got, want)
		}
	}
}

// A person replays a dead letter while a younger event of its key is retried and another one is blocked, and events
// of the key keep coming: only what ran already is ahead of the replayed one, and nothing overtakes.
func TestAReplayKeepsTheOrderOfItsKey(t *testing.T) {
	t.Parallel()
	for round := range 5 {
		path := filepath.Join(t.TempDir(), "j.db")
		w := mustWork(t, path, Config{Synchronous: "off", ForeignCheck: time.Duration(round) * 5 * time.Millisecond}, journal.Subscription{})
		w.publish(t, 0, "k", "k", "k")
		w.answer(t, w.next(t), journal.Dead, 0)
		w.answer(t, w.next(t), journal.Retrying, 30*time.Millisecond)
		w.until(t, 2, "SELECT count(*) FROM pending")
		if _, err := Replay(t.Context(), path, Act{Actor: "test"}); err != nil {
			t.Fatal(err)
		}
		var order []int64
		for n := range 30 {
			w.publish(t, 0, "k")
			if n > 2 {
				d := w.next(t)
				order = append(order, d.Event.Seq)
				w.answer(t, d, journal.Done, 0)
			}
		}
		late := slices.Index(order, 1)
		if rest := slices.Delete(slices.Clone(order), late, late+1); late > 4 || !slices.IsSorted(rest) {
			t.Errorf("check every %v: handled in the order %v", w.cfg.ForeignCheck, order)
		}
	}
}

// A replayed dead letter does not wait for a younger event of its key that is to be tried again tomorrow.
func TestAReplayWaitsForNothingYounger(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	w := mustWork(t, path, Config{Synchronous: "off", ForeignCheck: time.Millisecond}, journal.Subscription{})
	w.publish(t, 0, "k", "k")
	w.answer(t, w.next(t), journal.Dead, 0)
	w.answer(t, w.next(t), journal.Retrying, 24*time.Hour)
	if _, err := Replay(t.Context(), path, Act{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	d := w.next(t)
	if d.Event.Seq != 1 {
		t.Fatalf("event %d came", d.Event.Seq)
	}
	w.answer(t, d, journal.Done, 0)
	w.until(t, 1, "SELECT count(*) FROM pending WHERE state = 'retrying' AND seq = 2")
}

// A process ends while many events of a key are in memory, and younger ones of it are recorded as blocked: the next
// process handles all of them in their order.
func TestTheOrderOfAKeySurvivesACrash(t *testing.T) {
	t.Parallel()
	const events = 2 * dispatch.LaneLength
	path := filepath.Join(t.TempDir(), "j.db")
	w := mustWork(t, path, Config{Synchronous: "off"}, journal.Subscription{})
	w.publish(t, 0, slices.Repeat([]string{"k"}, events)...)
	w.next(t)
	w.until(t, events-dispatch.LaneLength-1, "SELECT count(*) FROM pending WHERE state = 'blocked'")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = mustWork(t, path, Config{Synchronous: "off"}, journal.Subscription{})
	for want := int64(1); want <= events; want++ {
		d := w.next(t)
		if d.Event.Seq != want {
			t.Fatalf("event %d came, want %d", d.Event.Seq, want)
		}
		w.answer(t, d, journal.Done, 0)
	}
	if err := w.Quiet(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A clock that was a year ahead wrote when an attempt is due: the next process, and this one once the clock is right,
// waits no longer than the pause that was asked for.
func TestAClockThatWasAhead(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		var c steppedClock
		c.step(365 * 24 * time.Hour)
		path := filepath.Join(t.TempDir(), "j.db")
		config := Config{Synchronous: "off", ForeignCheck: time.Millisecond, now: c.now}
		w := mustWork(t, path, config, journal.Subscription{})
		w.publish(t, 0, "k", "", "k")
		for range 2 {
			w.answer(t, w.next(t), journal.Retrying, 50*time.Millisecond)
		}
		w.until(t, 3, "SELECT count(*) FROM pending")
		c.step(-365 * 24 * time.Hour)
		if restart {
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			w = mustWork(t, path, config, journal.Subscription{})
		}
		for range 3 {
			w.answer(t, w.next(t), journal.Done, 0)
		}
	}
}

// A dead letter tells when its event first failed, over retries and restarts.
func TestWhenADeadLetterFirstFailed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	w := mustWork(t, path, Config{Synchronous: "off"}, journal.Subscription{})
	w.publish(t, 0, "k")
	d := w.next(t)
	before := time.Now().Truncate(time.Microsecond)
	w.answer(t, d, journal.Retrying, time.Millisecond)
	after := time.Now()
	for range 2 {
		w.answer(t, w.next(t), journal.Retrying, time.Millisecond)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = mustWork(t, path, Config{Synchronous: "off"}, journal.Subscription{})
	w.answer(t, w.next(t), journal.Dead, 0)
	letters, err := w.Reader().DeadLetters(context.Background(), DeadLetterFilter{})
	if err != nil || len(letters) != 1 {
		t.Fatalf("%d letters, %v", len(letters), err)
	}
	if first := letters[0].FirstFailed; first.Before(before) || first.After(after) {
		t.Errorf("first failed at %v, want %v to %v", first, before, after)
	}
}

// What a slow subscription has in memory is bounded by bytes.
func TestMemoryIsBoundedByBytes(t *testing.T) {
	t.Parallel()
	const size = dispatch.AdmittedBytes / 8
	w := mustWork(t, filepath.Join(t.TempDir(), "j.db"), Config{Synchronous: "off"}, journal.Subscription{})
	w.publish(t, size, make([]string, 40)...)
	s := w.subs["m/work"]
	for range 40 {
		d := w.next(t)
		s.mu.Lock()
		bytes := s.dispatch.Bytes()
		s.mu.Unlock()
		if bytes > dispatch.AdmittedBytes+size {
			t.Fatalf("%d bytes are in memory, want at most %d and one event", bytes, dispatch.AdmittedBytes)
		}
		w.answer(t, d, journal.Done, 0)
	}
}
