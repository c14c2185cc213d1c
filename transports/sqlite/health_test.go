package sqlite

import (
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
)

func TestHealthRemembersRefusals(t *testing.T) {
	t.Parallel()
	h := health{sick: make(chan struct{}, 1)}
	now := time.Now()
	if err := h.check(now); err != nil {
		t.Errorf("at first: %v", err)
	}
	full := errors.New("full")
	h.note(full)
	if err := h.check(now.Add(time.Hour)); !errors.Is(err, full) {
		t.Errorf("an hour after a refusal, and nothing since: %v", err)
	}
	h.note(nil)
	if err := h.check(time.Now()); !errors.Is(err, full) {
		t.Errorf("what is small is written, what is large is not: %v", err)
	}
	if err := h.check(time.Now().Add(sickFor)); err != nil {
		t.Errorf("when it is over: %v", err)
	}
	end := under(&h.writing)
	if err := h.check(time.Now().Add(sickFor + stuckAfter)); !errors.Is(err, journal.ErrUnavailable) || !strings.Contains(err.Error(), "has been under way") {
		t.Errorf("a write hangs: %v", err)
	}
	end()
	if err := h.check(time.Now().Add(time.Hour)); err != nil {
		t.Errorf("a write has ended: %v", err)
	}
}

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
		if !j.writer.refuses() {
			tick.Stop()
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("the journal does not look by itself")
		}
	}
	if err := j.writer.check(time.Now().Add(sickFor)); err != nil {
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
