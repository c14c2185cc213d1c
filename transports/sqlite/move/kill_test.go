package move

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/inventory"
)

// doomed is what a process is to do, and where it is to die. It travels in the environment of the test binary.
type doomed struct {
	Act     string // "split", "merge", "undo split", "undo merge"
	Options Options
	Die     string
}

const doomedVariable = "TROUPE_MOVE_DOOMED"

func TestMain(m *testing.M) {
	text := os.Getenv(doomedVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var d doomed
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		panic(err)
	}
	d.Options.at = func(point string) error {
		if point == d.Die {
			if self, err := os.FindProcess(os.Getpid()); err == nil {
				_ = self.Kill()
			}
			select {}
		}
		return nil
	}
	if _, err := d.do(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (d doomed) do(ctx context.Context) (*Proof, error) {
	switch d.Act {
	case "split":
		return Split(ctx, d.Options)
	case "merge":
		return Merge(ctx, d.Options)
	case "undo split":
		return Undo(ctx, "split", d.Options)
	default:
		return Undo(ctx, "merge", d.Options)
	}
}

// mustDie runs d in a process of its own, which is killed on the way.
func (d doomed) mustDie(t *testing.T) {
	t.Helper()
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), doomedVariable+"="+string(text))
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%s was not killed at %q: %v\n%s", d.Act, d.Die, err, out)
	}
}

// moves are those that are killed: where they can be, and from where on they have taken place.
var killed = []struct {
	act     string
	points  []string
	decided string
}{
	{"split", []string{"locked", "copied", "backed up", "built", "renamed", "judged", "decided", "done"}, "decided"},
	{"merge", []string{"locked", "prepared", "copied", "backed up", "judged", "decided", "done"}, "decided"},
	{"undo split", []string{"locked", "prepared", "noted", "copying", "decided", "cleaned"}, "decided"},
	{"undo merge", []string{"locked", "prepared", "noted", "copying", "decided", "cleaned"}, "decided"},
}

// TestKilled kills every move between any two of its steps. Afterwards each journal is as before or as after, says so when it is
// opened, and the same command completes.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, k := range killed {
		for i, point := range k.points {
			t.Run(k.act+" "+point, func(t *testing.T) {
				t.Parallel()
				d := mustSetUp(t, k.act)
				d.Die = point
				shop, into := d.Options.Journal, d.Options.Other
				before := mustHave(t, shop, "payment")
				d.mustDie(t)
				after := i >= slices.Index(k.points, k.decided)
				hasPayment := (k.act == "merge" || k.act == "undo split") == after
				is := mustHave(t, shop, "payment")
				if has := is.Moving["subscriptions"].Rows > 0; has != hasPayment {
					t.Errorf("the journal has payment: %v, want %v", has, hasPayment)
				}
				if diff := inventory.Changed(before, is); !after && len(diff) > 0 {
					t.Errorf("the journal has changed: %v", diff)
				}
				mustBeSound(t, shop)
				if err := tryOpen(t, shop); err != nil {
					t.Errorf("the journal does not open: %v", err)
				}
				err := tryOpen(t, into)
				switch {
				case errors.Is(err, fs.ErrNotExist) && k.act == "split" && !after, errors.Is(err, fs.ErrNotExist) && k.act == "undo split" && after:
				case hasPayment && !errors.Is(err, sqlite.ErrMoved):
					t.Errorf("payment is in both journals, and the other opens with %v", err)
				case !hasPayment && err != nil:
					t.Errorf("payment is in the other journal, which opens with %v", err)
				}
				if _, err := d.do(t.Context()); err != nil {
					t.Fatalf("again: %v", err)
				}
				mustBeSound(t, shop)
				if has := mustHave(t, shop, "payment").Moving["subscriptions"].Rows > 0; has != (k.act == "merge" || k.act == "undo split") {
					t.Errorf("after it was repeated, the journal has payment: %v", has)
				}
				if _, err := d.do(t.Context()); err != nil && k.act != "undo merge" && k.act != "undo split" {
					t.Errorf("once more: %v", err)
				}
			})
		}
	}
}

// mustSetUp makes a journal to which act can be done.
func mustSetUp(t *testing.T, act string) doomed {
	t.Helper()
	shop := MustMake(t, rand.New(rand.NewPCG(7, 7)))
	d := doomed{Act: act, Options: Options{Journal: shop, Other: filepath.Join(t.TempDir(), "payment.db"), Modules: []string{"payment"}}}
	if act == "split" {
		return d
	}
	mustFree(t, func() error { _, err := Split(t.Context(), d.Options); return err })
	if act == "undo merge" {
		mustFree(t, func() error { _, err := Merge(t.Context(), d.Options); return err })
	}
	return d
}

// mustFree calls fn until the journal is free. A process that a parallel test starts has the lock of a journal that was
// just closed, for a moment: from fork to exec.
func mustFree(tb testing.TB, fn func() error) {
	tb.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		err := fn()
		if err == nil {
			return
		}
		if !errors.Is(err, sqlite.ErrInUse) || time.Now().After(end) {
			tb.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// tryOpen opens an existing journal for writing.
func tryOpen(t *testing.T, path string) error {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		return err
	}
	j, err := sqlite.Open(t.Context(), path, sqlite.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return j.Close()
}

// TestFails has every step fail: the move says so, and all is as it was.
func TestFails(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, k := range killed[:2] {
		for _, point := range append(slices.Clone(k.points[:slices.Index(k.points, k.decided)]), "ready") {
			t.Run(k.act+" "+point, func(t *testing.T) {
				t.Parallel()
				d := mustSetUp(t, k.act)
				before := mustHave(t, d.Options.Journal, "payment")
				d.Options.at = func(p string) error {
					if p == point {
						return boom
					}
					return nil
				}
				d.Options.Ready = func() error { return d.Options.at("ready") }
				if _, err := d.do(t.Context()); !errors.Is(err, boom) {
					t.Fatal(err)
				}
				if diff := differences(before, mustHave(t, d.Options.Journal, "payment")); len(diff) > 0 {
					t.Errorf("the journal has changed: %v", diff)
				}
				want := []string{"shop.db", "shop.db.lock"}
				if k.act == "merge" { // after a split, which left its copy
					want = []string{"shop.db", "shop.db.before-", "shop.db.lock"}
				}
				if got := names(t, filepath.Dir(d.Options.Journal)); !slices.Equal(got, want) {
					t.Errorf("there are %v, want %v", got, want)
				}
				if err := tryOpen(t, d.Options.Other); k.act == "merge" && err != nil || k.act == "split" && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the other journal opens with %v", err)
				}
			})
		}
	}
}

// names are those of the files in a folder, without the ids of moves.
func names(t *testing.T, folder string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		if i := len("shop.db.before-"); len(name) == i+16 {
			name = name[:i]
		}
		all = append(all, name)
	}
	return all
}
