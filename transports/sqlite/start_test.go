package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/schema"
)

func mustOpenOlder(t *testing.T, cfg Config) *Journal {
	t.Helper()
	path := filepath.Join(t.TempDir(), "j.db")
	mustMakeOlder(t, path)
	cfg.Synchronous = "normal"
	j, err := Open(t.Context(), path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func nothingToDo(journal.TxFunc) ([]*journal.Event, error) { return nil, nil }

// mustOpenForeign opens a connection of another program to j's file.
func mustOpenForeign(t *testing.T, j *Journal) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+j.Path()+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func mustAppendAsOther(t *testing.T, j *Journal) {
	t.Helper()
	const event = `
INSERT INTO events (id, type, version, source, key, time, correlation_id, causation_id, subscription, hops, data)
VALUES ('a', 't', 1, '', '', 1, 'a', '', '', 0, x'7b7d')`
	if _, err := mustOpenForeign(t, j).Exec(event); err != nil {
		t.Fatal(err)
	}
}

// What others append while the writer does not run yet is delivered, too.
func TestEventsOfOthersBeforeTheStart(t *testing.T) {
	t.Parallel()
	subs := []journal.Subscription{{Name: "m/s", Types: []string{"t"}, Parallel: 1}}
	subscribe := func(j *Journal) (<-chan *message.Message, error) {
		by, err := j.Subscribe(t.Context(), subs)
		if err != nil {
			return nil, err
		}
		return by["m/s"].Subscribe(t.Context(), "")
	}
	for name, start := range map[string]func(j *Journal) (<-chan *message.Message, error){
		"a program that fits": func(j *Journal) (<-chan *message.Message, error) {
			mustAppendAsOther(t, j)
			if err := j.Fits(t.Context(), nil, subs); err != nil {
				return nil, err
			}
			return subscribe(j)
		},
		"one that does not ask": func(j *Journal) (<-chan *message.Message, error) {
			mustAppendAsOther(t, j)
			return subscribe(j)
		},
		"a subscriber whose place is not kept": func(j *Journal) (<-chan *message.Message, error) {
			got, err := j.Subscriber("").Subscribe(t.Context(), "t")
			mustAppendAsOther(t, j)
			return got, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := start(mustOpenOlder(t, Config{ForeignCheck: 10 * time.Millisecond}))
			if err != nil {
				t.Fatal(err)
			}
			select {
			case m := <-got:
				m.Ack()
			case <-time.After(5 * time.Second):
				t.Error("the event is not delivered")
			}
		})
	}
}

// Work that has to start the writer waits no longer than its caller does, and says what all work says when the store
// refuses it.
func TestAStartThatTheStoreRefuses(t *testing.T) {
	t.Parallel()
	j := mustOpenOlder(t, Config{BusyTimeout: 100 * time.Millisecond})
	tx, err := mustOpenForeign(t, j).Begin()
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	j.starting.Lock() // as while somebody else starts it
	answer := make(chan error, 1)
	go func() { answer <- j.Do(over, journal.Work{}, nothingToDo) }()
	select {
	case err := <-answer:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a caller who has gone: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("a caller who has gone waits for it")
	}
	j.starting.Unlock()
	if err := j.Do(t.Context(), journal.Work{}, nothingToDo); !errors.Is(err, journal.ErrUnavailable) || !errors.Is(j.Health(), journal.ErrUnavailable) {
		t.Errorf("while another connection writes: %v, health %v", err, j.Health())
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := j.Writable(t.Context()); err != nil || !j.writer.Started() || j.writer.Refuses() {
		t.Errorf("afterwards: %v, started %v, health %v", err, j.writer.Started(), j.Health())
	}
}

// A file that is moved before the writer runs is noticed as one is that is moved later.
func TestFilesMovedBeforeTheStart(t *testing.T) {
	t.Parallel()
	j := mustOpenOlder(t, Config{ForeignCheck: time.Millisecond})
	for _, end := range []string{"-wal", "-shm", ""} {
		if err := os.Rename(j.Path()+end, j.Path()+".away"+end); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(5 * time.Second); j.Health() == nil && time.Now().Before(end); {
		<-time.After(time.Millisecond)
	}
	if err := j.Do(t.Context(), journal.Work{}, nothingToDo); !errors.Is(err, ErrGone) || !errors.Is(err, journal.ErrUnavailable) || !errors.Is(j.Health(), ErrGone) {
		t.Errorf("work: %v, health: %v, want ErrGone", err, j.Health())
	}
}

// A journal that was copied with VACUUM INTO, or a database that is no journal, is in another mode: that is not
// changed before it is known that the file may be written.
func TestARefusedFileKeepsItsMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j, err := Open(t.Context(), path, Config{Program: &journal.Program{Name: "clinic"}})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, j)
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA journal_mode = DELETE"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []int{schema.ApplicationID, 7} { // another program's, another application's
		if _, err := db.Exec(fmt.Sprintf("PRAGMA application_id = %d", id)); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), path, Config{Program: &journal.Program{Name: "shop"}}); err == nil {
			t.Errorf("a file with id %#x is not refused", id)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
			t.Errorf("a file with id %#x was written, %v", id, err)
		}
	}
	if _, err := db.Exec(fmt.Sprintf("PRAGMA application_id = %d", schema.ApplicationID)); err != nil || db.Close() != nil {
		t.Fatal(err)
	}
	mustClose(t, mustOpen(t, path))
}
