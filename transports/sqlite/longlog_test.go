package sqlite

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// A journal that a killed process left with a long log is cut without waiting for somebody to write.
func TestLongLogOfAKilledProcess(t *testing.T) {
	t.Parallel()
	path, copied := filepath.Join(t.TempDir(), "j.db"), filepath.Join(t.TempDir(), "j.db")
	quiet := slog.New(slog.DiscardHandler)
	j, err := Open(t.Context(), path, Config{Synchronous: "normal", Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	for n := range 4 {
		if err := j.Publisher().Publish("t", message.NewMessage(strconv.Itoa(n), make([]byte, 1<<20))); err != nil {
			t.Fatal(err)
		}
	}
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + suffix)
		if err = errors.Join(err, os.WriteFile(copied+suffix, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	left, err := Open(t.Context(), copied, Config{Synchronous: "normal", Logger: quiet, logLimit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = left.Close() }()
	limit := time.After(20 * time.Second)
	for left.log.Size() > 1<<20 {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-limit:
			t.Fatalf("the log still has %d bytes", left.log.Size())
		}
	}
}
