package cover_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupebus/troupe/bus/cover"
)

// sample is a report in which half of what is declared has happened.
func sample() *cover.Report {
	r := cover.New()
	s := r.Of("stock/reserve")
	s.Declare([]string{"order.placed", "order.changed"}, []string{"stock.reserved", "stock.short"})
	s.Consumes["order.placed"][cover.Done] = 3
	s.Consumes["order.changed"]["retrying"] = 2
	s.Emits["stock.reserved"] = 3
	s.Faults[cover.CrashAfterCommit] = 1
	s = r.Of("bank/charge")
	s.Outside = true
	s.Declare([]string{"stock.reserved"}, []string{"bank.charged"})
	s.Consumes["stock.reserved"][cover.Done] = 1
	s.Faults[cover.AnswerLost] = 2
	return r
}

const written = `{
  "version": 1,
  "subscriptions": {
    "bank/charge": {
      "outside": true,
      "consumes": {
        "stock.reserved": {
          "done": 1
        }
      },
      "emits": {
        "bank.charged": 0
      },
      "faults": {
        "answer-lost": 2
      }
    },
    "stock/reserve": {
      "consumes": {
        "order.changed": {
          "retrying": 2
        },
        "order.placed": {
          "done": 3
        }
      },
      "emits": {
        "stock.reserved": 3,
        "stock.short": 0
      },
      "faults": {
        "crash-after-commit": 1
      }
    }
  }
}
`

func MustRead(tb testing.TB, path string) *cover.Report {
	tb.Helper()
	r, err := cover.Read(path)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestEdges(t *testing.T) {
	t.Parallel()
	r := sample()
	want := []cover.Edge{
		{Subscription: "bank/charge", Type: "stock.reserved", Count: 1, Outcomes: map[string]int64{}},
		{Subscription: "bank/charge", Type: "bank.charged", Emitted: true},
		{Subscription: "stock/reserve", Type: "order.changed", Outcomes: map[string]int64{"retrying": 2}},
		{Subscription: "stock/reserve", Type: "order.placed", Count: 3, Outcomes: map[string]int64{}},
		{Subscription: "stock/reserve", Type: "stock.reserved", Emitted: true, Count: 3},
		{Subscription: "stock/reserve", Type: "stock.short", Emitted: true},
	}
	if got := r.Edges(); !reflect.DeepEqual(got, want) {
		t.Errorf("edges\n%+v, want\n%+v", got, want)
	}
	if got := r.Missing(); !reflect.DeepEqual(got, []cover.Edge{want[1], want[2], want[5]}) {
		t.Errorf("missing %+v", got)
	}
	if p := r.Percent(); p != 50 {
		t.Errorf("%v %%, want 50", p)
	}
	if p := cover.New().Percent(); p != 0 {
		t.Errorf("%v %% of nothing, want 0", p)
	}
	if got := r.Of("stock/reserve").NeverMet(); !slices.Equal(got, []cover.Fault{cover.CrashBeforeCommit, cover.DeliveredTwice}) {
		t.Errorf("stock never met %v", got)
	}
	if got := r.Of("bank/charge").NeverMet(); len(got) != 5 || slices.Contains(got, cover.AnswerLost) {
		t.Errorf("bank never met %v", got)
	}
}

// What is merged is summed, and shares nothing with where it came from.
func TestMerge(t *testing.T) {
	t.Parallel()
	r, other := sample(), sample()
	other.Of("bank/charge").Emits["bank.charged"] = 1
	other.Of("mail/tell").Declare([]string{"bank.charged"}, nil)
	other.Subscriptions["none"] = nil
	r.Merge(other)
	other.Of("stock/reserve").Consumes["order.placed"][cover.Done] = 100
	if s := r.Of("stock/reserve"); s.Consumes["order.placed"][cover.Done] != 6 || s.Emits["stock.reserved"] != 6 || s.Faults[cover.CrashAfterCommit] != 2 {
		t.Errorf("stock: %+v", s)
	}
	if s := r.Of("bank/charge"); !s.Outside || s.Emits["bank.charged"] != 1 {
		t.Errorf("bank: %+v", s)
	}
	if n := len(r.Edges()); n != 7 {
		t.Errorf("%d edges, want 7", n)
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "cover.json")
	for range 2 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if err := cover.Write(path, sample()); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != written {
			t.Errorf("%v, the file is\n%s", err, text)
		}
	}
	if got := MustRead(t, path); !reflect.DeepEqual(got, sample()) {
		t.Errorf("read %+v", got)
	}
	if err := cover.Write(path, sample()); err != nil {
		t.Fatal(err)
	}
	if n := MustRead(t, path).Of("stock/reserve").Emits["stock.reserved"]; n != 6 {
		t.Errorf("%d after two runs, want 6", n)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

func TestWriteAtTheSameTime(t *testing.T) {
	t.Parallel()
	const writers, times = 8, 10
	path := filepath.Join(t.TempDir(), "cover.json")
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range times {
				if err := cover.Write(path, sample()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := MustRead(t, path).Of("bank/charge").Consumes["stock.reserved"][cover.Done]; n != writers*times {
		t.Errorf("%d, want %d", n, writers*times)
	}
}

func TestWhatIsNoCoverageFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := cover.Read(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := cover.Write(filepath.Join(dir, "none", "cover.json"), sample()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	for name, text := range map[string]string{
		"empty": "", "text": "mode: set\n", "an array": "[]", "another object": "{}", "half of it": written[:100], "newer": `{"version": 2}`,
		"more": written + "{}",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := cover.Read(path); !errors.Is(err, cover.ErrFormat) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s is read: %v", name, err)
		}
		if err := cover.Write(path, sample()); !errors.Is(err, cover.ErrFormat) {
			t.Errorf("%s is written: %v", name, err)
		}
		if left, err := os.ReadFile(path); err != nil || string(left) != text {
			t.Errorf("%s became %q, %v", name, left, err)
		}
	}
	path := filepath.Join(dir, "sparse")
	if err := os.WriteFile(path, []byte(`{"version": 1, "subscriptions": {"a/b": null, "c/d": {"consumes": {"e": null}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	r := MustRead(t, path)
	r.Of("c/d").Consumes["e"][cover.Done]++ // nothing is nil
	if edges := r.Edges(); len(edges) != 1 || edges[0].Count != 1 {
		t.Errorf("sparse: %+v", edges)
	}
}

// The lock of a process that was killed holds nobody up for ever.
func TestAbandonedLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cover.json")
	long := time.Now().Add(-time.Minute)
	if err := errors.Join(os.WriteFile(path+".lock", nil, 0o600), os.Chtimes(path+".lock", long, long)); err != nil {
		t.Fatal(err)
	}
	if err := cover.Write(path, sample()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + ".lock"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lock is left: %v", err)
	}
}

// In a bubble the clock is behind that of the files, so no lock is ever an old one.
func TestLockThatIsHeld(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cover.json")
	if err := os.WriteFile(path+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		if err := cover.Write(path, sample()); err == nil || !strings.Contains(err.Error(), "remove it if no test is running") {
			t.Errorf("written: %v", err)
		}
	})
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a file: %v", err)
	}
}
