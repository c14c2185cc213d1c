package sqlite

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// steppedClock is a wall clock that a test steps.
type steppedClock struct{ off atomic.Int64 }

func (c *steppedClock) now() time.Time       { return time.Now().Round(0).Add(time.Duration(c.off.Load())) }
func (c *steppedClock) step(d time.Duration) { c.off.Add(int64(d)) }

// An event and a retry are due in an hour, and the clock goes two hours forward: both come at once, with nothing else
// to wake anybody.
func TestAClockThatIsStepped(t *testing.T) {
	t.Parallel()
	var c steppedClock
	j, err := Open(t.Context(), filepath.Join(t.TempDir(), "j.db"), Config{ForeignCheck: 5 * time.Millisecond, now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	out := mustDeliver(t, mustSubscribe(t, j, journal.Subscription{Name: "m/work", Types: []string{"t"}})["m/work"])
	next := func() *journal.Delivery {
		t.Helper()
		select {
		case msg := <-out:
			msg.Ack()
			return journal.FromContext(msg.Context())
		case <-t.Context().Done():
			t.Fatal("nothing came")
			return nil
		}
	}
	later := time.Now().Add(time.Hour)
	events := []*journal.Event{
		{ID: "now", Type: "t", Version: 1, Time: time.Now(), CorrelationID: "f"},
		{ID: "later", Type: "t", Version: 1, Time: later, CorrelationID: "f", Due: later},
	}
	publish := func(journal.TxFunc) ([]*journal.Event, error) { return events, nil }
	if err := j.Do(t.Context(), journal.Work{Name: "test"}, publish); err != nil {
		t.Fatal(err)
	}
	first := next()
	err = j.React(t.Context(), first, journal.Work{Name: "test"}, func(journal.TxFunc) journal.Verdict {
		return journal.Verdict{Outcome: journal.Retrying, Started: time.Now(), RetryAt: later, Err: "planned"}
	})
	if err != nil {
		t.Fatal(err)
	}
	c.step(2 * time.Hour)
	for range 2 {
		d := next()
		if want := map[string]int{"now": 2, "later": 1}[d.Event.ID]; d.Attempt != want {
			t.Errorf("attempt %d of %q, want %d", d.Attempt, d.Event.ID, want)
		}
		if err := settleDone(t, j, d); err != nil {
			t.Fatal(err)
		}
	}
}

// A clock is put back by a year less a few hours, and then by these hours, too: a retry that was written before waits
// as long as it was asked to, and not until the hours have passed. The same holds where the process ends in between.
func TestAClockThatIsPutBackTwice(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		var c steppedClock
		c.step(365 * 24 * time.Hour)
		path := filepath.Join(t.TempDir(), "j.db")
		config := Config{Synchronous: "off", ForeignCheck: time.Millisecond, now: c.now}
		w := mustWork(t, path, config, journal.Subscription{})
		w.publish(t, 0, "k")
		w.answer(t, w.next(t), journal.Retrying, time.Second)
		w.until(t, 1, "SELECT count(*) FROM pending WHERE state = 'retrying'")
		c.step(-364 * 24 * time.Hour)
		w.until(t, 0, "SELECT count(*) FROM pending WHERE due_at > unixepoch() * 1000000 + 2 * 86400000000")
		if restart {
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		c.step(-24 * time.Hour)
		if restart {
			w = mustWork(t, path, config, journal.Subscription{})
		}
		w.answer(t, w.next(t), journal.Done, 0)
	}
}
