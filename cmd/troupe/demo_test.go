package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupebus/troupe/internal/shop/sim"
	"github.com/troupebus/troupe/internal/shop/workload"
	"github.com/troupebus/troupe/transports/sqlite"
)

// MustReport runs a command with --json, which must succeed and report no mistake.
func MustReport(tb testing.TB, command string, args ...string) report {
	tb.Helper()
	ran := MustRunCommand(tb, command, append(args, "--json")...)
	var rep report
	if ran.err != nil || ran.stderr != "" {
		tb.Fatalf("%v: %v, stderr %q, stdout %s", args, ran.err, ran.stderr, ran.stdout)
	}
	if err := json.Unmarshal([]byte(ran.stdout), &rep); err != nil {
		tb.Fatalf("%v in %s", err, ran.stdout)
	}
	if !rep.Verify.OK || len(rep.Verify.Wrong) > 0 || rep.DeadLetters != 0 || rep.EndStates["open"] != 0 {
		tb.Fatalf("%v reports %+v", args, rep)
	}
	return rep
}

func TestDemoBringsEveryOrderToItsEnd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "demo.db")
	rep := MustReport(t, "demo", "--orders", "80", "--journal", path)
	if rep.Orders != 80 || rep.Placed != 80 || rep.Journal != path {
		t.Errorf("reports %+v", rep)
	}
	// Of 80 orders 50 are happy and 4 flaky, 4 short, 6 declined and 4 undeliverable, 4 are returned; of the 8 cancels
	// some are too late, and those orders are returned, or completed.
	if e := rep.EndStates; e["completed"] < 54 || e["cancelled"] < 14 || e["returned"] < 4 || e["completed"]+e["cancelled"]+e["returned"] != 80 {
		t.Errorf("ends: %v", e)
	}
	if rep.Retries < 4*2*3 { // each flaky order has three failures at the gateway, and three at the carrier
		t.Errorf("%d retries", rep.Retries)
	}
	if rep.Seconds <= 0 || rep.FlowsPerSecond <= 0 || rep.ReactionsPerSecond <= rep.FlowsPerSecond {
		t.Errorf("%v s, %v flows/s, %v reactions/s", rep.Seconds, rep.FlowsPerSecond, rep.ReactionsPerSecond)
	}
	if l := rep.LatencyMS; l == nil || l.P50 <= 0 || l.P95 < l.P50 || l.P99 < l.P95 {
		t.Errorf("latency %+v", l)
	}
	MustMatchPlan(t, path, 1, 80)
}

// totals has the numbers that are the same in every run.
func totals(r report) []any {
	return []any{r.Orders, r.EndStates, r.Events, r.Reactions, r.Retries, r.DeadLetters, r.Verify}
}

func TestDemoAgainChangesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "demo.db")
	first := MustReport(t, "demo", "--orders", "40", "--journal", path)
	again := MustReport(t, "demo", "--orders", "40", "--journal", path)
	if !reflect.DeepEqual(totals(again), totals(first)) || again.Placed != 0 || again.LatencyMS != nil {
		t.Errorf("first %+v, again %+v", first, again)
	}
}

func TestDemoGrows(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "demo.db")
	MustReport(t, "demo", "--orders", "20", "--journal", path)
	more := MustReport(t, "demo", "--orders", "45", "--journal", path)
	if more.Orders != 45 || more.Placed != 25 {
		t.Errorf("with more orders: %d, %d of them placed; want 45, 25", more.Orders, more.Placed)
	}
	MustMatchPlan(t, path, 1, 45)
	other := MustReport(t, "demo", "--orders", "40", "--seed", "2", "--journal", path)
	if other.Orders != 85 || other.Placed != 40 {
		t.Errorf("with another seed: %d, %d of them placed; want 85, 40", other.Orders, other.Placed)
	}
	MustMatchPlan(t, path, 2, 40)
}

func TestDemoText(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "my demo.db")
	ran := MustRunCommand(t, "demo", "--orders", "40", "--journal", path)
	if ran.err != nil || ran.stderr != "" {
		t.Fatalf("%v, stderr %q", ran.err, ran.stderr)
	}
	for _, want := range []string{
		"40 orders: ", "0 dead letters", "This run placed 40 orders", "flows/s", "p99", "order.completed", "payment.refunded",
		"Verified: every order ended once", "troupe trace demo-1-0000", "troupe verify --journal '" + path + "'",
	} {
		if !strings.Contains(ran.stdout, want) {
			t.Errorf("there is no %q in\n%s", want, ran.stdout)
		}
	}
	if strings.Contains(ran.stdout, "\x1b") {
		t.Errorf("colours where there is no terminal: %q", ran.stdout)
	}
}

func TestDemoStoppedGoesOn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "demo.db")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began := make(chan struct{})
	go func() { // stops the demo when the first order has reached the gateway
		defer close(began)
		MustBegin(t, worldPath(path))
		cancel()
	}()
	ran := MustRunCommandIn(t, ctx, "demo", "--orders", "400", "--journal", path)
	<-began
	if ran.err == nil || exitCode(ran.err) != exitWrong || !strings.Contains(ran.err.Error(), "run the same command again") {
		t.Fatalf("stopped with %v", ran.err)
	}
	rep := MustReport(t, "demo", "--orders", "400", "--journal", path)
	if rep.Orders != 400 {
		t.Errorf("%d orders, want 400", rep.Orders)
	}
	MustMatchPlan(t, path, 1, 400)
}

// MustBegin waits until the file at path has content.
func MustBegin(tb testing.TB, path string) {
	tb.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 20_000 {
		<-tick.C
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			return
		}
	}
	tb.Errorf("nothing was written to %s", path)
}

func TestDemoNoticesWhatTheOutsideDidBesides(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "demo.db")
	MustReport(t, "demo", "--orders", "10", "--journal", path)
	f, err := os.OpenFile(worldPath(path), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	charge := `{"kind":"charge","key":"twice","order":"demo-1-000001","cents":700` // a second charge of the order, under another key
	if _, err := f.WriteString(charge + "}\n" + charge + `,"answer":{"reference":"x"}}` + "\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	ran := MustRunCommand(t, "demo", "--orders", "10", "--journal", path, "--json")
	var rep report
	if err := json.Unmarshal([]byte(ran.stdout), &rep); err != nil {
		t.Fatal(err)
	}
	if exitCode(ran.err) != exitWrong || rep.Verify.OK || len(rep.Verify.Wrong) != 2 ||
		!strings.Contains(rep.Verify.Wrong[1], "order demo-1-000001: was charged 2 times") {
		t.Errorf("%v: %+v", ran.err, rep.Verify)
	}
	ran = MustRunCommand(t, "demo", "--orders", "10", "--journal", path)
	if exitCode(ran.err) != exitWrong || !strings.Contains(ran.stdout, "WRONG, 2 problems:\n  order demo-1-000001: ") {
		t.Errorf("%v: %s", ran.err, ran.stdout)
	}
}

func TestDemoRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	gone := filepath.Join(dir, "gone.db")
	if err := os.WriteFile(worldPath(gone), []byte(`{"kind":"charge","key":"k","order":"o","cents":700}`+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--orders", "-1"}, exitUsage, "--orders is -1"},
		{[]string{"--orders", "many"}, exitUsage, "invalid argument"},
		{[]string{"--seed", "-1"}, exitUsage, "invalid argument"},
		{[]string{"extra"}, exitUsage, "extra"},
		{[]string{"--journal", gone}, exitWrong, "for another journal: remove the file"},
		{[]string{"--journal", gone}, exitWrong, "for another journal: remove the file"}, // the refusal does not change the file
		{[]string{"--journal", dir}, exitWrong, "is a directory"},
	} {
		ran := MustRunCommand(t, "demo", c.args...)
		if ran.err == nil || exitCode(ran.err) != c.code || !strings.Contains(ran.err.Error(), c.want) {
			t.Errorf("demo %v: code %d, %v; want code %d and %q", c.args, exitCode(ran.err), ran.err, c.code, c.want)
		}
	}
	r, err := sqlite.OpenReader(t.Context(), gone)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if s, err := r.Stats(t.Context()); err != nil || s.Events > 0 {
		t.Errorf("%d events were written beside a world of another: %v", s.Events, err)
	}
}

func TestLateCancelWaitsForItsCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDemo(demoConfig{orders: 40, seed: 1, latency: demoLatency})
		if len(d.late) != 2 {
			t.Fatalf("%d late cancels, want 2", len(d.late))
		}
		var after []int
		for id, l := range d.late {
			after = append(after, l.after)
			waited := make(chan error, 1)
			go func() { waited <- l.wait(t.Context()) }()
			for range l.after {
				synctest.Wait()
				select {
				case err := <-waited:
					t.Fatalf("%s: did not wait for %d calls: %v", id, l.after, err)
				default:
				}
				if f, ok := d.fate(id); !ok || !reflect.DeepEqual(f, sim.Fate{}) {
					t.Errorf("%s: fate %+v, %v", id, f, ok)
				}
			}
			if err := <-waited; err != nil {
				t.Error(err)
			}
			began := time.Now()
			if err := l.wait(t.Context()); err != nil || time.Since(began) != patience {
				t.Errorf("%s: without a call it waits %v, %v; want %v", id, time.Since(began), err, patience)
			}
		}
		if after[0]+after[1] != 3 {
			t.Errorf("cancels after %v calls, want one after the first and one after the second", after)
		}
	})
}

func TestFateOfOtherPlansIsLeftOpen(t *testing.T) {
	t.Parallel()
	d := newDemo(demoConfig{orders: 40, seed: 1, latency: demoLatency})
	if _, ok := d.fate("demo-2-000001"); ok {
		t.Error("there is a fate for an order of another seed")
	}
	for _, o := range d.orders {
		f, ok := d.fate(o.ID)
		declined, undeliverable, flaky := f.Declined != "", f.Undeliverable != "", len(f.Troubles) > 0
		if !ok || declined != (o.Fate == workload.Decline) || undeliverable != (o.Fate == workload.Undeliverable) || flaky != (o.Fate == workload.Flaky) {
			t.Errorf("%s, planned as %s: %+v", o.ID, o.Fate, f)
		}
	}
}

// MustMatchPlan compares the journal at path with the first n orders of a seed.
func MustMatchPlan(tb testing.TB, path string, seed uint64, n int) {
	tb.Helper()
	r, err := sqlite.OpenReader(tb.Context(), path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	matchPlan(tb, r, workload.Plan(seed, n))
}
