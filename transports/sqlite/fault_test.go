package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/tail"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

var discard = slog.New(slog.DiscardHandler)

// mustLockOut holds the write lock of the journal at path from another connection until it is called.
func mustLockOut(t *testing.T, path string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?_busy_timeout=10000&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		if err := errors.Join(tx.Rollback(), db.Close()); err != nil {
			t.Error(err)
		}
	})
}

// A group that cannot begin is answered at once: nobody in it waits for the lock again. A caller's context counts until
// the work begins.
func TestQueueBehindALock(t *testing.T) {
	t.Parallel()
	const busy, callers = 300 * time.Millisecond, 12
	path := filepath.Join(t.TempDir(), "j.db")
	j, err := Open(t.Context(), path, Config{BusyTimeout: busy, ForeignCheck: time.Hour, Logger: discard})
	if err != nil {
		t.Fatal(err)
	}
	release := mustLockOut(t, path)
	defer release()
	first := queue(t, j, 0, func(*commit.Unit) {}) // the others become one group
	start := time.Now()
	var rest []chan error
	for range callers {
		rest = append(rest, queue(t, j, 0, func(*commit.Unit) {}))
	}
	ctx, cancel := context.WithTimeout(t.Context(), busy/10)
	defer cancel()
	err = j.Do(ctx, journal.Work{}, func(journal.TxFunc) ([]*journal.Event, error) { return nil, nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller who does not wait for long: %v after %v", err, time.Since(start))
	}
	for _, answer := range append(rest, first) {
		if err := <-answer; !errors.Is(err, journal.ErrUnavailable) {
			t.Errorf("answer: %v", err)
		}
	}
	if took := time.Since(start); took > (callers-2)*busy {
		t.Errorf("the last of %d heard after %v", callers, took)
	}
	release()
	if err := errors.Join(<-queue(t, j, 0, func(*commit.Unit) {}), j.Close()); err != nil {
		t.Error(err)
	}
}

// While the store refuses work, Writable does not return.
func TestWritable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j, err := Open(t.Context(), path, Config{BusyTimeout: time.Millisecond, ForeignCheck: time.Hour, Logger: discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Writable(t.Context()); err != nil {
		t.Error(err)
	}
	release := mustLockOut(t, path)
	defer release()
	if err := <-queue(t, j, 0, func(*commit.Unit) {}); !errors.Is(err, journal.ErrUnavailable) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := j.Writable(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("under a lock: %v", err)
	}
	release()
	if err := errors.Join(j.Writable(t.Context()), j.Close()); err != nil {
		t.Error(err)
	}
}

// What the store refuses a handler's own statement is the store's, whatever the handler makes of it.
func TestFullDiskUsesUpNoAttempt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j, err := Open(t.Context(), path, Config{MaxPages: 100, Logger: discard})
	if err != nil {
		t.Fatal(err)
	}
	deliver := func(j *Journal) *journal.Delivery {
		work := mustSubscribe(t, j, journal.Subscription{Name: "m/work", Types: []string{"t"}})["m/work"]
		return journal.FromContext((<-mustDeliver(t, work)).Context())
	}
	write := func(d *journal.Delivery, j *Journal) error {
		return j.React(t.Context(), d, journal.Work{Name: "m/work", Module: "m"}, func(tx journal.TxFunc) journal.Verdict {
			_, err := tx().Exec("CREATE TABLE m_large AS SELECT hex(randomblob(1000000))")
			if err != nil && j.cfg.MaxPages == 0 {
				t.Error(err)
			}
			return journal.Verdict{Outcome: journal.Done, Started: time.Now()} // it swallows the error
		})
	}
	if err := j.Publisher().Publish("t", message.NewMessage("a", nil)); err != nil {
		t.Fatal(err)
	}
	if err := write(deliver(j), j); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("on a full disk: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j, err = Open(t.Context(), path, Config{Logger: discard}); err != nil {
		t.Fatal(err)
	}
	d := deliver(j)
	if d.Attempt != 1 {
		t.Errorf("attempt %d after the disk was full", d.Attempt)
	}
	if err := errors.Join(write(d, j), j.Close()); err != nil {
		t.Error(err)
	}
}

// Work's own fault is no trouble of the store in the log.
func TestOwnFaultIsNotLogged(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&text, nil))
	j, err := Open(t.Context(), filepath.Join(t.TempDir(), "j.db"), Config{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	err = <-queue(t, j, 0, func(u *commit.Unit) {
		_, _ = u.Tx().Exec("INSERT OR ROLLBACK INTO identity SELECT * FROM identity")
	})
	if !errors.Is(err, journal.ErrFailed) || errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("answer: %v", err)
	}
	if err := errors.Join(<-queue(t, j, 0, func(*commit.Unit) {}), j.Close()); err != nil {
		t.Error(err)
	}
	if strings.Contains(text.String(), "cannot write") {
		t.Errorf("log: %s", text.String())
	}
}

// Work may look at what it likes, and change nothing of the connection that all work writes through.
func TestWorkCannotChangeTheConnection(t *testing.T) {
	t.Parallel()
	j := mustOpenQuiet(t)
	for query, allowed := range map[string]bool{
		"PRAGMA foreign_keys = OFF": false, "PRAGMA defer_foreign_keys = ON": false, "PRAGMA wal_checkpoint": false,
		"PRAGMA main.journal_mode = DELETE": false, "ATTACH ':memory:' AS other": false, "DETACH main": false,
		"PRAGMA foreign_keys": true, "PRAGMA table_info(events)": true, "SELECT * FROM pragma_index_list('events')": true,
	} {
		var got error
		if err := <-queue(t, j, 0, func(u *commit.Unit) { _, got = u.Tx().Exec(query) }); err != nil {
			t.Errorf("%s: the work: %v", query, err)
		}
		if (got == nil) != allowed || got != nil && !strings.Contains(got.Error(), "sqlite: work may") {
			t.Errorf("%s: %v", query, got)
		}
	}
	if err := j.View(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.Exec("PRAGMA query_only = OFF"); err == nil {
			t.Error("a view may write from now on")
		}
		_, err := tx.Exec("PRAGMA table_info(events)")
		return err
	}); err != nil {
		t.Error(err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// A View waits for nobody, not for other Views either, and not longer than its context.
func TestViewWaitsForNobody(t *testing.T) {
	t.Parallel()
	d := newDisk()
	j := mustOpenOn(t, filepath.Join(t.TempDir(), "j.db"), d)
	var nest func(depth int) error
	nest = func(depth int) error {
		return j.View(t.Context(), func(*sql.Tx) error {
			if depth == 0 {
				return nil
			}
			return nest(depth - 1)
		})
	}
	if err := nest(10); err != nil {
		t.Fatal(err)
	}
	d.hold(t, j)
	published := make(chan error, 1)
	go func() { published <- j.Publisher().Publish("t", message.NewMessage("1", nil)) }()
	<-d.asked // the disk hangs
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := j.View(ctx, func(*sql.Tx) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while the disk hangs: %v", err)
	}
	d.free.Store(true)
	d.allow <- nil
	if err := errors.Join(<-published, j.Close()); err != nil {
		t.Error(err)
	}
}

// A plain publish from inside of work, which would wait for itself, is refused.
func TestPlainPublishWithinWork(t *testing.T) {
	t.Parallel()
	j := mustOpenQuiet(t)
	var inner error
	err := <-queue(t, j, time.Minute, func(*commit.Unit) { inner = j.Publisher().Publish("t", message.NewMessage("1", nil)) })
	if !errors.Is(inner, journal.ErrNested) || err != nil {
		t.Errorf("publish within work: %v; the work: %v", inner, err)
	}
	if err := errors.Join(j.Publisher().Publish("t", message.NewMessage("1", nil)), j.Close()); err != nil {
		t.Error(err)
	}
}

// An event that the journal has already costs no number: the tail keeps the newest events.
func TestDuplicateLeavesNoGap(t *testing.T) {
	t.Parallel()
	j := mustOpenQuiet(t)
	p := j.Publisher()
	for _, id := range []string{"a", "a", "b", "a", "b", "c"} {
		if err := p.Publish("t", message.NewMessage(id, nil)); err != nil {
			t.Fatal(err)
		}
	}
	var again []*message.Message
	for _, id := range []string{"c", "d", "a", "e"} {
		again = append(again, message.NewMessage(id, nil))
	}
	if err := p.Publish("t", again...); err != nil {
		t.Fatal(err)
	}
	kept, _, _ := j.tail.Read(nil, 0, wake.NewMatch(nil, true), 100, tail.MaxBytes)
	if head, kept := j.tail.Newest(), len(kept); head != 5 || kept != 5 {
		t.Errorf("newest event %d, %d in the tail, want 5 and 5", head, kept)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// Work that gives a table its last number and then adds a row has used up the table itself. That is no full disk,
// although SQLite says the same of both.
func TestWorkUsesUpATable(t *testing.T) {
	t.Parallel()
	j := mustOpenWithNumbers(t)
	for name, queries := range map[string][]string{
		"in two statements":         {"INSERT INTO n_rows VALUES (9223372036854775807)", "INSERT INTO n_rows DEFAULT VALUES"},
		"in one":                    {"INSERT INTO n_rows VALUES (9223372036854775807), (NULL)"},
		"by a change of its number": {"INSERT INTO n_rows VALUES (1)", "UPDATE n_rows SET id = 9223372036854775807", "INSERT INTO n_rows DEFAULT VALUES"},
	} {
		err := <-queue(t, j, 0, func(u *commit.Unit) {
			for _, query := range queries {
				_, _ = u.Tx().Exec(query)
			}
		})
		if !errors.Is(err, journal.ErrFailed) || errors.Is(err, journal.ErrUnavailable) || !strings.Contains(err.Error(), "has had the last number") {
			t.Errorf("%s: %v", name, err)
		}
	}
	mustClose(t, j)
}

func mustOpenWithNumbers(t *testing.T) *Journal {
	t.Helper()
	j := mustOpenWithRows(t)
	mustMigrate(t, j, "n", files("0001.sql", "CREATE TABLE n_rows (id INTEGER PRIMARY KEY AUTOINCREMENT)"))
	return j
}

// Work that hangs when it runs once more, to find out what is full, is cut off like any other.
func TestHangWhileItIsTriedOut(t *testing.T) {
	t.Parallel()
	j := mustOpenWithNumbers(t)
	never := make(chan struct{})
	defer close(never)
	runs := 0
	hangs := queue(t, j, 100*time.Millisecond, func(u *commit.Unit) {
		if _, err := u.Tx().Exec("INSERT INTO n_rows VALUES (9223372036854775807), (NULL)"); err == nil {
			t.Error("there is a number behind the last one")
		}
		if runs++; runs > 1 {
			<-never
		}
	})
	if err := <-hangs; !errors.Is(err, journal.ErrAbandoned) {
		t.Error(err)
	}
	if err := <-queue(t, j, 0, func(u *commit.Unit) { insert(t, u.Tx(), "next") }); err != nil {
		t.Error(err)
	}
	mustHaveRows(t, j, "next")
	mustClose(t, j)
}

// A fault that shows only at the commit is one attempt, in however many groups the work has run for it.
func TestFaultOfACommitIsOneAttempt(t *testing.T) {
	t.Parallel()
	j := mustOpenQuiet(t)
	mustMigrate(t, j, "m", files("0001.sql", "CREATE TABLE m_parents (id INTEGER PRIMARY KEY); "+
		"CREATE TABLE m_children (parent INTEGER REFERENCES m_parents (id) DEFERRABLE INITIALLY DEFERRED)"))
	work := mustSubscribe(t, j, journal.Subscription{Name: "m/work", Types: []string{"t"}, Parallel: 2})["m/work"]
	if err := j.Publisher().Publish("t", message.NewMessage("a", nil), message.NewMessage("b", nil)); err != nil {
		t.Fatal(err)
	}
	out := mustDeliver(t, work)
	answers := make(chan error, 2)
	var runs atomic.Int32
	together(t, j, func() {
		for n := range 2 {
			d := journal.FromContext((<-out).Context())
			go func() {
				err := j.React(t.Context(), d, journal.Work{Name: "m/work", Module: "m"}, func(tx journal.TxFunc) journal.Verdict {
					runs.Add(1)
					if _, err := tx().Exec("INSERT INTO m_children VALUES (7)"); err != nil {
						t.Error(err)
					}
					return journal.Verdict{Outcome: journal.Done, Started: time.Now()}
				})
				if d.Attempt != 1 {
					t.Errorf("event %s is at attempt %d", d.Event.ID, d.Attempt)
				}
				answers <- err
			}()
			mustHaveQueued(t, j, n+1)
		}
	})
	for range 2 {
		if err := <-answers; !errors.Is(err, journal.ErrFailed) {
			t.Errorf("answer: %v", err)
		}
	}
	if runs.Load() != 4 {
		t.Errorf("%d runs, want each in the group and alone", runs.Load())
	}
	mustClose(t, j)
}

// mustHaveQueued waits until n pieces of work are in the queue.
func mustHaveQueued(t *testing.T, j *Journal, n int) {
	t.Helper()
	for j.writer.Queued() < n {
		if runtime.Gosched(); t.Context().Err() != nil {
			t.Fatalf("%d pieces of work are queued, want %d", j.writer.Queued(), n)
		}
	}
}
