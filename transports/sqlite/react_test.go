package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// Every delivery is made twice, at once, and every reader is woken at random, for nothing: each event has its effect
// once, and those of one key come in order.
func TestDuplicatesAndStrayWakeUps(t *testing.T) {
	t.Parallel()
	const events, keys = 600, 7
	j, err := Open(t.Context(), filepath.Join(t.TempDir(), "j.db"), Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.writer.Submit(t.Context(), &commit.Item{Alone: func(c *sql.Conn) error {
		_, err := c.ExecContext(t.Context(), "CREATE TABLE m_effects (seq INTEGER PRIMARY KEY, key TEXT)")
		return err
	}}); err != nil {
		t.Fatal(err)
	}
	out := mustDeliver(t, mustSubscribe(t, j, journal.Subscription{Name: "m/work", Types: []string{"t"}, Parallel: 32})["m/work"])
	var reacting sync.WaitGroup
	go func() {
		for msg := range out {
			d := journal.FromContext(msg.Context())
			for range 2 {
				reacting.Go(func() {
					if err := react(j, d); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}()
	ctx, stopWaking := context.WithCancel(t.Context())
	var waking sync.WaitGroup
	waking.Go(func() {
		for ctx.Err() == nil {
			j.follow.Load().PokeAll()
			wake.Poke(j.hint)
			wake.Poke(j.delayedWake)
		}
	})
	r := rand.New(rand.NewPCG(1, 1))
	for i := range events {
		m := message.NewMessage(fmt.Sprint(i), nil)
		m.Metadata.Set(metaKey, fmt.Sprint("k", r.IntN(keys)))
		if err := j.Publisher().Publish("t", m); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Quiet(t.Context()); err != nil {
		t.Fatal(err)
	}
	stopWaking()
	waking.Wait()
	reacting.Wait()
	var effects, done int
	err = j.View(t.Context(), func(tx *sql.Tx) error {
		return errors.Join(tx.QueryRow("SELECT count(*) FROM m_effects").Scan(&effects),
			tx.QueryRow("SELECT count(*) FROM deliveries WHERE outcome = 'done'").Scan(&done))
	})
	if err != nil || effects != events || done != events {
		t.Errorf("%d effects, %d done, want %d: %v", effects, done, events, err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

var errOutOfOrder = errors.New("an older event of the key came later")

// react stores the effect of d, which can be stored once and, within its key, only behind the older ones.
func react(j *Journal, d *journal.Delivery) error {
	var failed error
	err := j.React(context.Background(), d, journal.Work{Module: "m"}, func(tx journal.TxFunc) journal.Verdict {
		v := journal.Verdict{Outcome: journal.Done, Started: time.Now()}
		var newest sql.NullInt64
		failed = tx().QueryRow("SELECT max(seq) FROM m_effects WHERE key = ?", d.Event.Key).Scan(&newest)
		if failed == nil && newest.Int64 > d.Event.Seq {
			failed = errOutOfOrder
		}
		if failed == nil {
			_, failed = tx().Exec("INSERT INTO m_effects (seq, key) VALUES (?, ?)", d.Event.Seq, d.Event.Key)
		}
		return v
	})
	return errors.Join(err, failed)
}

// What was open when the process ended is open in the next one: retries at their time, the blocked behind them, in
// order.
func TestOpenDeliveriesSurviveRestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	spec := journal.Subscription{Name: "m/work", Types: []string{"t"}, Parallel: 8}
	open := func() (*Journal, <-chan *message.Message) {
		j, err := Open(t.Context(), path, Config{})
		if err != nil {
			t.Fatal(err)
		}
		return j, mustDeliver(t, mustSubscribe(t, j, spec)["m/work"])
	}
	j, out := open()
	for _, id := range []string{"a1", "a2", "b1", "a3"} {
		m := message.NewMessage(id, nil)
		m.Metadata.Set(metaKey, id[:1])
		if err := j.Publisher().Publish("t", m); err != nil {
			t.Fatal(err)
		}
	}
	retryAt := time.Now().Add(200 * time.Millisecond)
	settleWith := func(j *Journal, msg *message.Message, v journal.Verdict) *journal.Delivery {
		d := journal.FromContext(msg.Context())
		v.Started = time.Now()
		if err := j.React(t.Context(), d, journal.Work{}, func(journal.TxFunc) journal.Verdict { return v }); err != nil {
			t.Fatal(err)
		}
		return d
	}
	for range 2 { // a1 fails, b1 is done
		msg := <-out
		if msg.UUID == "a1" {
			settleWith(j, msg, journal.Verdict{Outcome: journal.Retrying, RetryAt: retryAt, Err: "planned"})
		} else {
			settleWith(j, msg, journal.Verdict{Outcome: journal.Done})
		}
	}
	for j.Backlog().Blocked != 2 || j.Backlog().Ready != 0 {
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("not blocked")
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, out = open()
	for i, want := range []string{"a1", "a2", "a3"} {
		d := settleWith(j, <-out, journal.Verdict{Outcome: journal.Done})
		if d.Event.ID != want {
			t.Errorf("delivery %d is %s, want %s", i, d.Event.ID, want)
		}
		if want == "a1" && (d.Attempt != 2 || time.Now().Before(retryAt)) {
			t.Errorf("a1: attempt %d, %v before its time", d.Attempt, time.Until(retryAt))
		}
	}
	if b := j.Backlog(); !b.Quiet() || b.Blocked != 0 {
		t.Errorf("left over: %+v", b)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// The place of a consumer group, written in a group of work that the store then refuses, is written again with the
// next.
func TestPlaceIsWrittenAfterAGroupWasUndone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j, err := Open(t.Context(), path, Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	if err := j.Publisher().Publish("t", message.NewMessage("a", nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Subscriber("g").Subscribe(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	j.mu.Lock()
	for _, g := range j.groups {
		g.pos, g.dirty, g.flushing = 1, true, true // acknowledged, and about to be written
	}
	j.mu.Unlock()
	full := errors.New("the disk is full")
	if err := j.writer.Submit(t.Context(), &commit.Item{Run: func(u *commit.Unit) error { return u.Refuse(full) }}); !errors.Is(err, full) {
		t.Fatalf("the refused group: %v", err)
	}
	if err := j.writer.Submit(t.Context(), &commit.Item{Run: func(*commit.Unit) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	var cursor int64
	err = j.View(t.Context(), func(tx *sql.Tx) error {
		return tx.QueryRow("SELECT cursor FROM subscriptions WHERE kind = 'group'").Scan(&cursor)
	})
	if err != nil || cursor != 1 {
		t.Errorf("the group is at %d on disk, want 1: %v", cursor, err)
	}
}
