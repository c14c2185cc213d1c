package sqlite

import (
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
)

func mustOpenQuiet(t *testing.T) *Journal {
	t.Helper()
	j, err := Open(t.Context(), filepath.Join(t.TempDir(), "j.db"), Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// queue puts work into the writer's queue, and returns where its answer comes.
func queue(t *testing.T, j *Journal, limit time.Duration, code func(*commit.Unit)) chan error {
	t.Helper()
	it := &commit.Item{Work: journal.Work{Name: "test", Limit: limit}, Answer: make(chan error, 1)}
	it.Run = func(u *commit.Unit) error { return u.Call(func() { code(u) }) }
	if err := j.writer.Enqueue(it); err != nil {
		t.Fatal(err)
	}
	return it.Answer
}

// Work that ends its goroutine, as a test's FailNow does, costs that goroutine; one other takes its place, not two.
func TestWorkThatEndsItsGoroutine(t *testing.T) {
	j := mustOpenQuiet(t)
	const limit = 20 * time.Millisecond
	if err := <-queue(t, j, limit, func(*commit.Unit) { runtime.Goexit() }); !errors.Is(err, journal.ErrAbandoned) {
		t.Errorf("answer: %v", err)
	}
	<-time.After(3 * limit) // its limit passes
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	if n := strings.Count(string(stacks), "commit.(*Writer).loop("); n != 1 {
		t.Errorf("%d writers", n)
	}
	if err := errors.Join(<-queue(t, j, 0, func(*commit.Unit) {}), j.Close()); err != nil {
		t.Error(err)
	}
}

// Work that hangs when a refused group is run again one by one takes nobody with it.
func TestHangWhileRunAgain(t *testing.T) {
	t.Parallel()
	j := mustOpenQuiet(t)
	begun, gate, never := make(chan struct{}), make(chan struct{}), make(chan struct{})
	defer close(never)
	first := queue(t, j, 0, func(*commit.Unit) { close(begun); <-gate })
	<-begun // the others become one group
	runs := 0
	hangs := queue(t, j, 50*time.Millisecond, func(*commit.Unit) {
		if runs++; runs == 2 {
			<-never
		}
	})
	breaks := queue(t, j, 0, func(u *commit.Unit) {
		_, _ = u.Tx().Exec("INSERT OR ROLLBACK INTO identity SELECT * FROM identity")
	})
	last := queue(t, j, 0, func(*commit.Unit) {})
	close(gate)
	for _, c := range []struct {
		name   string
		answer chan error
		want   error
	}{{"first", first, nil}, {"hangs", hangs, journal.ErrAbandoned}, {"breaks", breaks, journal.ErrFailed}, {"last", last, nil}} {
		select {
		case err := <-c.answer:
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s is never answered", c.name)
		}
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// Long work leaves the queued work of other goroutines alone.
func TestLongWorkLeavesTheQueueAlone(t *testing.T) {
	t.Parallel()
	j := mustOpenQuiet(t)
	var other chan error
	long := queue(t, j, time.Minute, func(*commit.Unit) {
		other = queue(t, j, 0, func(*commit.Unit) {})
		<-time.After(150 * time.Millisecond) // three searches of the queue
	})
	if err := errors.Join(<-long, <-other, j.Close()); err != nil {
		t.Error(err)
	}
}
