package sim

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/troupebus/troupe/domain/payment"
)

// MustReopen closes w and opens its file again.
func MustReopen(tb testing.TB, w *World, path string, o Options) *World {
	tb.Helper()
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return MustOpen(tb, path, o)
}

func TestWorldOutlivesItsProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "world.jsonl")
	o := Options{Rules: func(id string) (Fate, bool) {
		return Fate{Troubles: []Trouble{LostAnswer, Transient}}, id == "order-flaky"
	}}
	w := MustOpen(t, path, o)
	reference := MustCharge(t, w, "k")
	if _, err := chargeOne(w, "flaky"); !errors.Is(err, ErrNoAnswer) {
		t.Fatalf("first call: %v, want ErrNoAnswer", err)
	}

	before := w.Ledger()
	w = MustReopen(t, w, path, o)
	if after := w.Ledger(); !reflect.DeepEqual(after, before) {
		t.Errorf("ledger is %+v, was %+v", after, before)
	}
	if _, err := chargeOne(w, "flaky"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("second call: %v, want ErrUnavailable", err)
	}
	MustCharge(t, w, "flaky")

	// An answer stands, even where the same call would now be answered otherwise.
	o.Seed, o.Rules = 1, always(Fate{Declined: "changed its mind"})
	w = MustReopen(t, w, path, o)
	if again := MustCharge(t, w, "k"); again != reference {
		t.Errorf("reference is %s, was %s", again, reference)
	}
	if _, err := w.Charge(t.Context(), payment.Charge{Key: "k", OrderID: "order-k", Amount: 1}); !errors.Is(err, ErrKeyReused) {
		t.Errorf("another amount: %v, want ErrKeyReused", err)
	}
	l := w.Ledger()
	if l.Calls["k"] != 2 || l.Calls["flaky"] != 3 || l.Orders["order-flaky"].Charged != 100 {
		t.Errorf("ledger is %+v", l)
	}
	if read, err := ReadLedger(path); err != nil || !reflect.DeepEqual(read, l) {
		t.Errorf("from the open file: %+v, %v, want %+v", read, err, l)
	}
}

func TestTornLineIsCutOff(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "world.jsonl")
	w := MustOpen(t, path, Options{})
	MustCharge(t, w, "k")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := strings.Index(string(whole), "\n") + 1
	for cut := first; cut < len(whole); cut++ {
		if err := os.WriteFile(path, whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		w := MustOpen(t, path, Options{})
		if left, err := os.ReadFile(path); err != nil || string(left) != string(whole[:first]) {
			t.Fatalf("cut at %d: the file is %q, %v, want its whole line", cut, left, err)
		}
		if a := w.Ledger().Orders["order-k"]; a.Charges != 0 {
			t.Fatalf("cut at %d: account is %+v, want the charge gone", cut, a)
		}
		MustCharge(t, w, "k")
		w = MustReopen(t, w, path, Options{})
		if l := w.Ledger(); l.Orders["order-k"].Charged != 100 || l.Calls["k"] != 2 {
			t.Fatalf("cut at %d: ledger is %+v", cut, l)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	line := `{"kind":"charge","key":"k","order":"1","cents":100}` + "\n"
	for name, text := range map[string]string{
		"line 2":                              line + "rubbish\n" + line,
		"is it another file":                  "SQLite format 3\x00",
		"line 1: the key is empty":            "{}\n",
		"line 3: the key is empty or belongs": line + line + strings.Replace(line, "100", "101", 1),
	} {
		path := filepath.Join(t.TempDir(), "world.jsonl")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v, want ErrCorrupt that says %s", text, err, name)
		}
		if left, err := os.ReadFile(path); err != nil || string(left) != text {
			t.Errorf("%q became %q, %v", text, left, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none", "world.jsonl"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a folder that is not there: %v", err)
	}
	if _, err := Open(t.TempDir(), Options{}); err == nil || !strings.Contains(err.Error(), "sim: open") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := ReadLedger(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ledger of a file that is not there: %v", err)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "world.jsonl")
	w := MustOpen(t, path, Options{})
	if _, err := Open(path, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("second open: %v, want ErrInUse", err)
	}
	MustReopen(t, w, path, Options{})
}

// TestWriteFails: what could not be written did not happen.
func TestWriteFails(t *testing.T) {
	t.Parallel()
	w := MustOpen(t, filepath.Join(t.TempDir(), "world.jsonl"), Options{})
	whole := w.file.file
	readOnly, err := os.Open(whole.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	w.file.file = readOnly
	if _, err := chargeOne(w, "k"); err == nil || !strings.Contains(err.Error(), "sim: write: ") {
		t.Errorf("charge: %v, want the failing write", err)
	}
	if l := w.Ledger(); len(l.Calls)+len(l.Orders) != 0 {
		t.Errorf("ledger is %+v, want nothing in it", l)
	}
	w.file.file = whole
	MustCharge(t, w, "k")
}

const childWorld = "TROUPE_SIM_TEST_WORLD"

// TestKilled kills a process at work and holds its answers, which it prints, against what is in its file.
func TestKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "world.jsonl")
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildAtWork$", "-test.v")
	cmd.Env = append(os.Environ(), childWorld+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := map[string]string{}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 || fields[0] != "answer" {
			continue
		}
		answers[fields[1]] = fields[2]
		if len(answers) == 200 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || len(answers) < 200 {
		t.Fatalf("the child ended with %v after %d answers, want it killed", err, len(answers))
	}
	w := MustOpen(t, path, Options{})
	for key, reference := range answers {
		if again := MustCharge(t, w, key); again != reference {
			t.Errorf("key %s: %s, before the kill %s", key, again, reference)
		}
		if a := w.Ledger().Orders["order-"+key]; a.Charges != 1 {
			t.Errorf("key %s: account is %+v, want one charge", key, a)
		}
	}
}

// TestChildAtWork is the process that TestKilled kills.
func TestChildAtWork(t *testing.T) {
	path := os.Getenv(childWorld)
	if path == "" {
		return
	}
	w := MustOpen(t, path, Options{})
	for i := 0; ; i++ {
		key := fmt.Sprint(i)
		if _, err := fmt.Println("answer", key, MustCharge(t, w, key)); err != nil {
			t.Fatal(err)
		}
	}
}
