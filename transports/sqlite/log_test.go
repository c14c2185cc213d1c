package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
	"github.com/troupebus/troupe/transports/sqlite/internal/wal"
)

func mustOpenFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", file.DSN(path, map[string][]string{"_busy_timeout": {"10000"}, "_txlock": {"immediate"}, "_synchronous": {"OFF"}}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func sizeOfLog(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// The log is laid out under the write lock alone: what another connection commits meanwhile stays.
func TestLayOutBesideACommit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	mustClose(t, mustOpenOn(t, path, newDisk()))
	db := mustOpenFile(t, path)
	tx, err := db.BeginTx(t.Context(), nil) // it has the write lock
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "CREATE TABLE other_row (n INTEGER)"); err != nil {
		t.Fatal(err)
	}
	j := mustOpenOn(t, path, newDisk())
	if size := sizeOfLog(t, path); size >= wal.LaidOut {
		t.Errorf("the log has %d bytes while another connection was writing", size)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := j.Publisher().Publish("t", message.NewMessage("1", []byte("x"))); err != nil {
		t.Fatal(err)
	}
	if size := sizeOfLog(t, path); size != wal.LaidOut {
		t.Errorf("the log has %d bytes after the first commit, want %d", size, wal.LaidOut)
	}
	mustClose(t, j)
	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM other_row").Scan(&n); err != nil {
		t.Errorf("the other connection's commit is gone: %v", err)
	}
}

// A journal that is opened again and again loses nothing that another connection commits.
func TestOpenBesideCommits(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	mustClose(t, mustOpenOn(t, path, newDisk()))
	db := mustOpenFile(t, path)
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE other_row (n INTEGER)"); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	committed := make(chan int, 1)
	go func() {
		n := 0
		defer func() { committed <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			_, err := db.ExecContext(context.WithoutCancel(t.Context()),
				"WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 100) INSERT INTO other_row SELECT n FROM s")
			if err != nil {
				t.Error(err)
				return
			}
			n += 100
		}
	}()
	const opens = 12
	for i := range opens {
		j := mustOpenOn(t, path, newDisk())
		if err := j.Publisher().Publish("t", message.NewMessage(strconv.Itoa(i), []byte("x"))); err != nil {
			t.Fatal(err)
		}
		mustClose(t, j)
	}
	close(stop)
	want := <-committed
	var rows, events int
	var sound string
	err := db.QueryRowContext(t.Context(), "SELECT (SELECT count(*) FROM other_row), (SELECT count(*) FROM events), quick_check FROM pragma_quick_check").
		Scan(&rows, &events, &sound)
	if err != nil || rows != want || events != opens || sound != "ok" {
		t.Errorf("%d of %d rows, %d of %d events, %s, %v", rows, want, events, opens, sound, err)
	}
}

func mustClose(t *testing.T, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// told is a log that waits for a line.
type told struct {
	mu   sync.Mutex
	text bytes.Buffer
	line chan struct{}
}

func (l *told) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wake.Poke(l.line)
	return l.text.Write(b)
}

func (l *told) wait(t *testing.T, text string) string {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		l.mu.Lock()
		all := l.text.String()
		l.mu.Unlock()
		if strings.Contains(all, text) {
			return all
		}
		select {
		case <-l.line:
		case <-late:
			t.Fatalf("the log has no %q: %s", text, all)
		}
	}
}

// The log's length is bounded by bytes, however much one piece of work writes.
func TestLogOfLargeWork(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j := mustOpenOn(t, path, newDisk())
	longest := int64(0)
	for i := range 150 {
		if err := j.Publisher().Publish("t", message.NewMessage(strconv.Itoa(i), make([]byte, 1<<20))); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, sizeOfLog(t, path))
	}
	if longest > 3*wal.DefaultLimit {
		t.Errorf("the log grew to %d MiB", longest>>20)
	}
	mustClose(t, j)
}

// A reader that holds the log is named; when it ends, an idle journal cuts the log.
func TestLogHeldByAReader(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	l := &told{line: make(chan struct{}, 1)}
	const limit = 10 << 20
	j, err := Open(t.Context(), path, Config{Logger: slog.New(slog.NewTextHandler(l, nil)), logLimit: limit})
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	publish := func(id int) {
		if err := j.Publisher().Publish("t", message.NewMessage(strconv.Itoa(id), make([]byte, 1<<20))); err != nil {
			t.Fatal(err)
		}
	}
	err = r.View(t.Context(), func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM events").Scan(&n); err != nil {
			return err
		}
		for i := range 30 {
			publish(i)
		}
		line := l.wait(t, "a reader keeps the write-ahead log from starting over")
		if !strings.Contains(line, "mib=2") || !strings.Contains(line, "readers=\"this process") && !strings.Contains(line, "unknown") {
			t.Errorf("the log says %s", line)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	l.wait(t, "the write-ahead log was cut")
	if size := sizeOfLog(t, path); size > limit {
		t.Errorf("the log has %d MiB afterwards", size>>20)
	}
	publish(1000) // and it goes on in a log that is laid out
	if size := sizeOfLog(t, path); size != wal.LaidOut {
		t.Errorf("the log has %d bytes, want %d", size, wal.LaidOut)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	mustClose(t, j)
}
