package sqlite

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
)

// ending is a context that is cancelled when it is looked at for the n-th time: a program is stopped at some moment.
type ending struct {
	context.Context
	cancel context.CancelFunc
	left   atomic.Int64
}

func endingAt(t *testing.T, n int) *ending {
	e := &ending{}
	e.Context, e.cancel = context.WithCancel(t.Context())
	t.Cleanup(e.cancel)
	e.left.Store(int64(n))
	return e
}

// Done implements context.Context.
func (e *ending) Done() <-chan struct{} {
	if e.left.Add(-1) == 0 {
		e.cancel()
	}
	return e.Context.Done()
}

// A program is stopped at any moment of its start. What was published before it is delivered by the next one.
func TestStoppedWhileItSubscribes(t *testing.T) {
	t.Parallel()
	path, sub := filepath.Join(t.TempDir(), "j.db"), journal.Subscription{Name: "m/work", Types: []string{"t"}}
	var want []string
	for n, subscribed := 1, false; !subscribed; n++ {
		if n == 1000 {
			t.Fatal("the start never ends")
		}
		j, err := Open(t.Context(), path, Config{Synchronous: "off"})
		if err != nil {
			t.Fatal(err)
		}
		w := &worked{Journal: j}
		want = append(want, fmt.Sprint("k", n))
		w.publish(t, 0, want[n-1])
		if n == 1 { // the subscription is there before: what it has not seen is behind its cursor
			mustSubscribe(t, j, sub)
		} else {
			_, err = j.Subscribe(endingAt(t, n-1), []journal.Subscription{sub})
			subscribed = err == nil
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w := mustWork(t, path, Config{Synchronous: "off"}, journal.Subscription{})
	var got []string
	for range want {
		d := w.next(t)
		got = append(got, d.Event.Key)
		w.answer(t, d, journal.Done, 0)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// All cursors are written between the moment at which a subscription is registered and that from which on it hears of
// events. It has seen nothing of what is in the log.
func TestCursorsAreWrittenWhileItSubscribes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	w := mustWork(t, path, Config{Synchronous: "off"}, journal.Subscription{})
	w.publish(t, 0, "a")
	w.answer(t, w.next(t), journal.Dead, 0) // something to warn of when it is removed
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	j, err := Open(t.Context(), path, Config{Synchronous: "off", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	written, committed := 0, j.writer.Hooks.Committed
	j.writer.Hooks.Committed = func(c *commit.Group) { // behind the commit that registers it, and before it hears of events
		written++
		j.flushed = 0
		if err := j.flushCursors(); err != nil {
			t.Error(err)
		}
		committed(c)
	}
	mustSubscribe(t, j, journal.Subscription{Name: "m/new", Types: []string{"t"}})
	var cursor int
	const query = "SELECT cursor FROM subscriptions WHERE name = 'm/new'"
	if err := j.readers.QueryRowContext(t.Context(), query).Scan(&cursor); err != nil {
		t.Fatal(err)
	}
	if written != 1 || cursor != 0 {
		t.Errorf("cursors are written %d times, then that of m/new is %d, want once and 0", written, cursor)
	}
}
