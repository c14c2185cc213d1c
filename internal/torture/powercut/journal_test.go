package powercut

import (
	"bytes"
	"context"
	"database/sql"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

var (
	cuts = flag.Int("cuts", 60, "power cuts of each recording")
	seed = flag.Uint64("seed", 1, "of the cuts")
)

const (
	journalVariable = "TROUPE_POWERCUT_JOURNAL"
	syncVariable    = "TROUPE_POWERCUT_SYNCHRONOUS"
	publishers      = 4
	published       = 100 // by each publisher
	copiedEvery     = 40  // events between two checkpoints from outside, which let the log start over
)

var quiet = slog.New(slog.DiscardHandler)

// After any power cut the journal opens, passes its check, and has all acknowledged events and all events that
// external calls have seen.
func TestJournal(t *testing.T) {
	r := record(t, "full")
	if lost := r.cut(t, *cuts); len(lost) > 0 {
		t.Errorf("%d cuts lost something: %s", len(lost), strings.Join(lost[:min(len(lost), 10)], "\n"))
	}
}

// With "normal", a power cut may lose acknowledged events: the recorder must find a loss. Otherwise it would find
// none with "full", either.
func TestRecorderFindsLosses(t *testing.T) {
	r := record(t, "normal")
	if lost := r.cut(t, max(20, *cuts/4)); len(lost) == 0 {
		t.Error("no cut lost anything, although nothing was forced to the disk")
	}
}

// recording has the operations of a process with a journal at path.
type recording struct {
	path    string
	ops     []Op
	running int // number of the first op with an open journal
}

func record(t *testing.T, synchronous string) *recording {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil || runtime.GOOS != "linux" {
		t.Skip("needs strace, which this machine lacks")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &recording{path: filepath.Join(dir, "j.db")}
	trace := filepath.Join(dir, "trace")
	args := append(Strace(trace), os.Args[0], "-test.run=^TestRecorded$")
	child := exec.CommandContext(t.Context(), args[0], args[1:]...)
	child.Env = append(os.Environ(), journalVariable+"="+r.path, syncVariable+"="+synchronous)
	out, err := child.CombinedOutput()
	if strings.Contains(string(out), "ptrace") {
		t.Skipf("needs strace, which may not trace here: %s", out)
	}
	if err != nil {
		t.Fatalf("%v: %.2000s", err, out)
	}
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // only read
	if r.ops, err = Parse(f); err != nil {
		t.Fatal(err)
	}
	restarts := 0
	for n, op := range r.ops {
		switch {
		case op.Kind == Say && string(op.Data) == "RUNNING\n":
			r.running = n
		case op.Kind == Write && op.Path == r.path+"-wal" && op.Offset == 0:
			restarts++
		}
	}
	if r.running == 0 || restarts < 3 {
		t.Fatalf("%d ops, running from %d, the log started %d times", len(r.ops), r.running, restarts)
	}
	return r
}

// cut cuts the power n times, and returns the losses.
func (r *recording) cut(t *testing.T, n int) (lost []string) {
	t.Helper()
	random := rand.New(rand.NewPCG(*seed, *seed))
	said := 0
	for i := range n {
		at := r.running + random.IntN(len(r.ops)-r.running) + 1
		loss := []Loss{0, 0.03, 0.5, 1}[i%4]
		r.restore(t, at, loss, random)
		promised := r.promised(at)
		said += len(promised)
		for _, what := range r.missing(t, promised) {
			lost = append(lost, fmt.Sprintf("after %d of %d ops, loss %v, seed %d: %s", at, len(r.ops), loss, *seed, what))
		}
	}
	t.Logf("%d cuts of %d ops, %d promises, %d broken", n, len(r.ops), said, len(lost))
	return lost
}

// restore writes the files as the cut leaves them: into the same files, as a disk does.
func (r *recording) restore(t *testing.T, at int, loss Loss, random *rand.Rand) {
	t.Helper()
	for _, path := range []string{r.path, r.path + "-wal"} {
		b := Cut(r.ops, at, path, loss, random)
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Write(bytes.TrimRight(b, "\x00"))
		if err == nil {
			err = f.Truncate(int64(len(b)))
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(r.path + "-shm"); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

// promised returns the ids of the events that were acknowledged, or seen by an external call.
func (r *recording) promised(at int) map[string]string {
	promised := map[string]string{}
	for _, op := range r.ops[:at] {
		if op.Kind != Say {
			continue
		}
		for line := range strings.Lines(string(op.Data)) {
			if f := strings.Fields(line); len(f) == 2 && (f[0] == "ACKNOWLEDGED" || f[0] == "SEEN") {
				promised[f[1]] = f[0]
			}
		}
	}
	return promised
}

// missing returns the promised events that the journal lacks, and the other mistakes in the journal.
func (r *recording) missing(t *testing.T, promised map[string]string) (wrong []string) {
	t.Helper()
	j, err := sqlite.Open(t.Context(), r.path, sqlite.Config{Synchronous: "off", Logger: quiet})
	if err != nil {
		return []string{err.Error()}
	}
	wrong, err = j.Reader().Check(t.Context())
	have := map[string]bool{}
	if err == nil {
		err = j.Reader().Events(t.Context(), sqlite.EventFilter{}, func(e *journal.Event) error {
			have[e.ID] = true
			return nil
		})
	}
	if err != nil {
		wrong = append(wrong, err.Error())
	}
	for id, how := range promised {
		if !have[id] {
			wrong = append(wrong, fmt.Sprintf("event %s is lost, which was %s", id, strings.ToLower(how)))
			break
		}
	}
	if err := j.Close(); err != nil {
		wrong = append(wrong, err.Error())
	}
	return wrong
}

// say writes a line for the trace, in a single write.
func say(words ...string) { _, _ = os.Stdout.WriteString(strings.Join(words, " ") + "\n") }

// The recorded process. It ends as after a kill.
func TestRecorded(t *testing.T) {
	path := os.Getenv(journalVariable)
	if path == "" {
		return
	}
	ctx := context.Background()
	j, err := sqlite.Open(ctx, path, sqlite.Config{Synchronous: os.Getenv(syncVariable), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", "file:"+path+"?_synchronous=NORMAL&_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	msgs, err := j.Subscriber("outside").Subscribe(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	say("RUNNING")
	var all sync.WaitGroup
	all.Go(func() {
		for range publishers * published {
			m := <-msgs
			say("SEEN", m.UUID)
			m.Ack()
		}
	})
	var total atomic.Int64
	for p := range publishers {
		all.Go(func() {
			for n := range published {
				id := fmt.Sprintf("%d-%d", p, n)
				if err := j.Publisher().Publish("t", message.NewMessage(id, fmt.Appendf(nil, "%0300d", n))); err != nil {
					t.Error(err)
				}
				say("ACKNOWLEDGED", id)
				if total.Add(1)%copiedEvery == 0 {
					if _, err := db.ExecContext(ctx, "PRAGMA wal_checkpoint(RESTART)"); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	os.Exit(0)
}
