package sqlite

import (
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
)

// A lock that another program holds makes the journal not well, without anybody having to write for that to be seen
// again.
func TestHealthOfALockedJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j, err := Open(t.Context(), path, Config{BusyTimeout: time.Millisecond, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	if err := j.Health(); err != nil {
		t.Errorf("at first: %v", err)
	}
	other, err := sql.Open("sqlite3", "file:"+path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	tx, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Publisher().Publish("t", message.NewMessage("1", []byte("{}"))); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("published under a lock: %v", err)
	}
	if err := j.Health(); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("under a lock: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C { // until the journal has looked by itself
		if !j.writer.Refuses() {
			tick.Stop()
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("the journal does not look by itself")
		}
	}
	if err := j.writer.Health(time.Now().Add(3 * time.Second)); err != nil {
		t.Errorf("when the lock is gone: %v", err)
	}
}

// On a disk that is all but full, what is small is written while what is larger is refused: the journal is not well.
func TestHealthOnAFullDisk(t *testing.T) {
	t.Parallel()
	j, err := Open(t.Context(), filepath.Join(t.TempDir(), "j.db"), Config{MaxPages: 60, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	if err := j.Publisher().Publish("t", message.NewMessage("large", make([]byte, 400_000))); !errors.Is(err, journal.ErrUnavailable) {
		t.Fatalf("a large one: %v", err)
	}
	if err := j.Publisher().Publish("t", message.NewMessage("small", []byte("{}"))); err != nil {
		t.Fatalf("a small one: %v", err)
	}
	if err := j.Health(); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("between the two: %v", err)
	}
}
