package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/domain/notification"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
	"github.com/troupebus/troupe/internal/shop/sim"
	"github.com/troupebus/troupe/internal/shop/workload"
	"github.com/troupebus/troupe/transports/sqlite"
)

const (
	killsPerJournal = 25
	ordersPerRun    = 200 // orders that each run adds
	crashSeed       = 1   // seed of the orders
)

// TestCrash kills a running demo repeatedly, and audits the journal after each kill. In the end every order must have
// ended once, in the planned way.
func TestCrash(t *testing.T) {
	kills, err := strconv.Atoi(os.Getenv("TROUPE_CRASH_KILLS"))
	if err != nil || kills < 1 {
		t.Skip("TROUPE_CRASH_KILLS is not set to a number: it takes a while, `make crash` runs it")
	}
	seed := rand.Uint64()
	if s := os.Getenv("TROUPE_CRASH_SEED"); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("TROUPE_CRASH_SEED: %v", err)
		}
	}
	c := &crash{dir: t.TempDir(), random: rand.New(rand.NewPCG(seed, 0)), hits: map[string]int{}}
	c.binary = MustBuild(t, c.dir)
	c.clean = c.mustMeasure(t)
	t.Logf("%d more orders a run, each killed within %v, TROUPE_CRASH_SEED=%d", ordersPerRun, c.clean.Round(time.Millisecond), seed)
	for n := 1; c.killed < kills; n++ {
		c.torment(t, filepath.Join(c.dir, fmt.Sprintf("journal-%d.db", n)), min(killsPerJournal, kills-c.killed))
	}
	t.Logf("%d kills hit a running process: %v; %d runs were over before theirs", c.killed, c.hits, c.missed)
}

// crash kills processes and counts the kills.
type crash struct {
	dir, binary string
	random      *rand.Rand
	clean       time.Duration // time of a run without a kill, plus a quarter: later runs on a journal have more work
	killed      int
	missed      int            // runs that ended before the kill
	hits        map[string]int // kills, by the part of the run
}

// MustBuild builds the program and returns its path.
func MustBuild(tb testing.TB, dir string) string {
	tb.Helper()
	path := filepath.Join(dir, "troupe")
	if out, err := exec.CommandContext(tb.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		tb.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// mustMeasure measures the time of a run without a kill.
func (c *crash) mustMeasure(t *testing.T) time.Duration {
	t.Helper()
	started := time.Now()
	if killed := c.run(t, filepath.Join(c.dir, "clean.db"), ordersPerRun, time.Hour); killed {
		t.Fatal("the clean run was killed")
	}
	return time.Since(started) * 5 / 4
}

// run runs the demo, kills it after a while, and reports whether the demo was still running. A run that ends by
// itself must succeed.
func (c *crash) run(t *testing.T, path string, orders int, after time.Duration) (killed bool) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), c.binary, "demo", "--json", "--journal", path, "--orders", strconv.Itoa(orders), "--seed", strconv.Itoa(crashSeed))
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // the run may have ended
	err := cmd.Wait()
	timer.Stop()
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.ExitCode() == -1 {
		return true
	}
	if err != nil {
		t.Fatalf("demo with %d orders on %s ended by itself: %v\n%s", orders, path, err, &out)
	}
	var rep report
	if err := json.Unmarshal(out.Bytes(), &rep); err != nil || !rep.Verify.OK || rep.Orders != orders {
		t.Fatalf("demo with %d orders on %s reports (%v): %s", orders, path, err, &out)
	}
	return false
}

// torment kills runs on a journal until a number of kills have hit a run, checks the journal after each kill, and
// lets the last run end.
func (c *crash) torment(t *testing.T, path string, kills int) {
	t.Helper()
	orders, was := 0, remains{}
	for hit := 0; hit < kills; {
		orders += ordersPerRun
		after := time.Duration(c.random.Float64() * float64(c.clean))
		if !c.run(t, path, orders, after) {
			c.missed++
			was = c.look(t, path, was)
			continue
		}
		hit++
		c.killed++
		is := c.look(t, path, was)
		part := is.part(was, orders)
		c.hits[part]++
		t.Logf("%s, kill %d, after %v, %s: %d events, %d of %d orders placed, %d open",
			filepath.Base(path), hit, after.Round(time.Millisecond), part, is.events, is.placed, orders, is.open)
		was = is
	}
	if c.run(t, path, orders, time.Hour) {
		t.Fatal("the last run was killed")
	}
	c.lookAtTheEnd(t, path, orders)
}

// remains has the numbers of a journal.
type remains struct {
	events       int64
	placed, open int
}

// part returns the part of the run that was killed, from the numbers after the run before.
func (r remains) part(was remains, orders int) string {
	switch {
	case r.events == was.events:
		return "starting"
	case r.placed == orders && r.open == 0:
		return "ending"
	default:
		return "working"
	}
}

// look audits the journal after a kill. No event or order from before the kill may be missing.
func (c *crash) look(t *testing.T, path string, was remains) remains {
	t.Helper()
	r, err := sqlite.OpenReader(t.Context(), path)
	if err != nil && was.events == 0 { // killed before the file was a journal; the next run completes the file
		return remains{}
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	stats, err := r.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if stats.Events < was.events {
		t.Fatalf("%s: %d events, where there were %d", path, stats.Events, was.events)
	}
	if stats.Events == 0 { // the tables of modules may not exist yet
		return remains{}
	}
	v := MustVerifyWithWorld(t, r)
	if !v.OK {
		t.Fatalf("%s, after a kill at %d events: %q", path, stats.Events, v.Wrong)
	}
	return remains{events: stats.Events, placed: v.Books.Orders, open: v.Books.Open}
}

// MustVerifyWithWorld audits the journal of r, and compares it with the acts of the gateway and the carrier.
func MustVerifyWithWorld(tb testing.TB, r *sqlite.Reader) verification {
	tb.Helper()
	ledger, err := sim.ReadLedger(worldPath(r.Path()))
	if err != nil {
		tb.Fatal(err)
	}
	v := MustVerify(tb, r.Path())
	if v.Books == nil {
		tb.Fatalf("the books were not checked: %+v", v)
	}
	err = r.View(tb.Context(), func(tx *sql.Tx) error {
		found, err := compareOutside(tb.Context(), tx, ledger, v.Settled)
		v.Wrong = append(v.Wrong, found...)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	v.OK = len(v.Wrong) == 0
	return v
}

// lookAtTheEnd compares a journal without open work with the plan.
func (c *crash) lookAtTheEnd(t *testing.T, path string, orders int) {
	t.Helper()
	r, err := sqlite.OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if v := MustVerifyWithWorld(t, r); !v.OK || !v.Settled || v.Books.Open > 0 {
		t.Fatalf("%s, at the end: settled %v, %q", path, v.Settled, v.Wrong)
	}
	if placed := matchPlan(t, r, workload.Plan(crashSeed, orders)); placed != orders {
		t.Errorf("%s: %d orders, want %d", path, placed, orders)
	}
}

// matchPlan returns the orders of a plan that have not ended once in the planned way, and the number of orders.
func matchPlan(tb testing.TB, r *sqlite.Reader, plan []workload.Order) int {
	tb.Helper()
	ends, notices := map[string]order.Status{}, map[string]int{}
	err := r.View(tb.Context(), func(tx *sql.Tx) error {
		return errors.Join(
			order.Each(tb.Context(), tx, func(f order.Fact) error { ends[f.OrderID] = f.Status; return nil }),
			notification.Each(tb.Context(), tx, func(f notification.Fact) error { notices[f.OrderID]++; return nil }))
	})
	if err != nil {
		tb.Fatal(err)
	}
	seen := MustCountEvents(tb, r)
	for _, o := range plan {
		if !slices.Contains(plannedEnds[o.Fate], ends[o.ID]) {
			tb.Errorf("%s, planned as %s, is %q", o.ID, o.Fate, ends[o.ID])
		}
		if n := seen[o.ID]; notices[o.ID] != 1 || n.placed != 1 || n.ended != 1 {
			tb.Errorf("%s has %d order.placed, %d ends and %d notices, want one of each", o.ID, n.placed, n.ended, notices[o.ID])
		}
	}
	return len(ends)
}

// plannedEnds are the possible ends of an order, by its fate. After a kill any cancel may come too late.
var plannedEnds = map[workload.Fate][]order.Status{
	workload.Happy:         {order.StatusCompleted},
	workload.Flaky:         {order.StatusCompleted},
	workload.Shortage:      {order.StatusCancelled},
	workload.Decline:       {order.StatusCancelled},
	workload.Undeliverable: {order.StatusCancelled},
	workload.CancelEarly:   {order.StatusCancelled, order.StatusReturned, order.StatusCompleted},
	workload.CancelLate:    {order.StatusCancelled, order.StatusReturned, order.StatusCompleted},
	workload.Return:        {order.StatusReturned},
}

type eventCounts struct{ placed, ended int }

// MustCountEvents returns the number of first and last events of each order.
func MustCountEvents(tb testing.TB, r *sqlite.Reader) map[string]eventCounts {
	tb.Helper()
	seen := map[string]eventCounts{}
	err := r.Events(tb.Context(), sqlite.EventFilter{}, func(e *journal.Event) error {
		n := seen[e.Key]
		switch e.Type {
		case orderevents.Placed{}.EventType():
			n.placed++
		case orderevents.Completed{}.EventType(), orderevents.Cancelled{}.EventType():
			n.ended++
		}
		seen[e.Key] = n
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return seen
}
