package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
)

// disk is a log whose syncs wait to be allowed, or fail.
type disk struct {
	commit.File
	asked chan struct{}
	allow chan error
	free  atomic.Bool
}

func newDisk() *disk {
	d := &disk{asked: make(chan struct{}), allow: make(chan error)}
	d.free.Store(true)
	return d
}

// hold makes the syncs wait from now on.
func (d *disk) hold(t *testing.T, j *Journal) {
	t.Helper()
	if err := j.writer.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.free.Store(false)
}

func (d *disk) wrap(f commit.File) commit.File { d.File = f; return d }

func (d *disk) Sync() error {
	if d.free.Load() {
		return d.File.Sync()
	}
	d.asked <- struct{}{}
	if err := <-d.allow; err != nil {
		return err
	}
	return d.File.Sync()
}

func mustOpenOn(t *testing.T, path string, d *disk) *Journal {
	t.Helper()
	j, err := Open(t.Context(), path, Config{wrapLog: d.wrap, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// What is not on disk is neither acknowledged nor shown to the outside; a transactional reaction need not wait for it.
func TestNothingLeavesBeforeTheDiskHasIt(t *testing.T) {
	t.Parallel()
	d := newDisk()
	j := mustOpenOn(t, filepath.Join(t.TempDir(), "j.db"), d)
	subs := mustSubscribe(t, j, journal.Subscription{Name: "m/inside", Types: []string{"t"}, Parallel: 1},
		journal.Subscription{Name: "m/outside", Types: []string{"t"}, Parallel: 1, Outside: true})
	inside, outside := mustDeliver(t, subs["m/inside"]), mustDeliver(t, subs["m/outside"])
	plain, err := j.Subscriber("").Subscribe(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}

	d.hold(t, j)
	published := make(chan error, 1)
	go func() { published <- j.Publisher().Publish("t", message.NewMessage("1", []byte("x"))) }()
	<-d.asked // the commit is made, the disk is at work
	reacted := journal.FromContext((<-inside).Context())
	if err := j.React(t.Context(), reacted, journal.Work{}, func(journal.TxFunc) journal.Verdict {
		return journal.Verdict{Outcome: journal.Done, Started: time.Now()}
	}); err != nil {
		t.Fatal(err)
	}
	viewed := make(chan error, 1)
	go func() { viewed <- j.View(t.Context(), func(*sql.Tx) error { return nil }) }()
	select {
	case <-published:
		t.Error("acknowledged before it was on disk")
	case <-outside:
		t.Error("an external handler got it before it was on disk")
	case <-plain:
		t.Error("a plain consumer got it before it was on disk")
	case <-viewed:
		t.Error("a view returned what was not on disk")
	case <-time.After(50 * time.Millisecond):
	}
	d.allow <- nil
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	<-d.asked // the reaction's commit
	d.free.Store(true)
	d.allow <- nil
	for range 2 {
		select {
		case <-outside:
			outside = nil
		case m := <-plain:
			m.Ack()
			plain = nil
		case <-time.After(10 * time.Second):
			t.Fatal("on disk, but not delivered")
		}
	}
	if err := errors.Join(<-viewed, j.Close()); err != nil {
		t.Fatal(err)
	}
}

// A disk that fails to sync may have lost anything since the last time it did not: nothing more is promised.
func TestDiskThatFailsToSync(t *testing.T) {
	t.Parallel()
	d := newDisk()
	path := filepath.Join(t.TempDir(), "j.db")
	j := mustOpenOn(t, path, d)
	d.hold(t, j)
	published := make(chan error, 1)
	go func() { published <- j.Publisher().Publish("t", message.NewMessage("1", []byte("x"))) }()
	<-d.asked
	// Another one is committed while the disk is failing: it must not wait for ever.
	second := make(chan error, 1)
	go func() { second <- j.Publisher().Publish("t", message.NewMessage("during", []byte("x"))) }()
	for j.tail.Newest() < 2 {
		runtime.Gosched()
	}
	d.allow <- errors.New("input/output error")
	if err := <-second; !errors.Is(err, journal.ErrUnknown) || errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("publish during the failure: %v", err)
	}
	if err := <-published; !errors.Is(err, journal.ErrUnknown) || errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("publish whose sync failed: %v", err)
	}
	if err := j.Publisher().Publish("t", message.NewMessage("2", []byte("x"))); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("publish after a failed sync: %v", err)
	}
	d.free.Store(true)
	_ = j.Close() // says once more that the disk failed
	j = mustOpenOn(t, path, newDisk())
	if err := j.Publisher().Publish("t", message.NewMessage("2", []byte("x"))); err != nil {
		t.Errorf("publish after a restart: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// A full journal refuses, loses nothing that it acknowledged, and goes on when there is room.
func TestFullJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	j, err := Open(t.Context(), path, Config{MaxPages: 60, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	acknowledged := 0
	for err = error(nil); err == nil; acknowledged++ {
		err = j.Publisher().Publish("t", message.NewMessage(strconv.Itoa(acknowledged), make([]byte, 2000)))
	}
	acknowledged--
	if !errors.Is(err, journal.ErrUnavailable) || acknowledged == 0 {
		t.Fatalf("after %d publishes: %v", acknowledged, err)
	}
	if err := j.Publisher().Publish("t", message.NewMessage("large", make([]byte, 100_000))); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("a full journal took 100 kB: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j, err = Open(t.Context(), path, Config{Logger: logger}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got := 0
	msgs, err := j.Subscriber("g").Subscribe(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	for m := range msgs {
		if m.UUID != strconv.Itoa(got) {
			t.Fatalf("message %d is %s", got, m.UUID)
		}
		m.Ack()
		if got++; got == acknowledged {
			cancel()
		}
	}
	if got != acknowledged {
		t.Errorf("%d were acknowledged, %d are there", acknowledged, got)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

func mustSubscribe(t *testing.T, j *Journal, subs ...journal.Subscription) map[string]message.Subscriber {
	t.Helper()
	out, err := j.Subscribe(t.Context(), subs)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func mustDeliver(t *testing.T, s message.Subscriber) <-chan *message.Message {
	t.Helper()
	out, err := s.Subscribe(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	return out
}
