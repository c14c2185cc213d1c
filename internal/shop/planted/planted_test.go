package planted

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus/bustest"
)

// What finding a bug may cost: this many schedules, in the median of the seeds, and a story of this many steps.
const (
	maxSchedules = 200
	maxStory     = 8
)

// seeds is how many seeds a bug is looked for with: PLANTED_SEEDS, or 3, and 1 where time is short.
func seeds(t *testing.T) uint64 {
	usual := "3"
	if testing.Short() {
		usual = "1"
	}
	n, err := strconv.ParseUint(cmp.Or(os.Getenv("PLANTED_SEEDS"), usual), 10, 16)
	if err != nil || n == 0 {
		t.Fatalf("PLANTED_SEEDS=%s: want a number from 1", os.Getenv("PLANTED_SEEDS"))
	}
	return n
}

// Every bug is found, soon, for the right reason, and with a story that a person reads at a glance. With -v the last lines
// are the table of them all.
func TestBugsAreFound(t *testing.T) {
	n := seeds(t)
	var table strings.Builder
	for _, g := range Bugs {
		t.Run(g.Name, func(t *testing.T) {
			s := search(t, g, n)
			if median(s.schedules) > maxSchedules || slices.Max(s.steps) > maxStory {
				t.Errorf("found by schedules %v and missed by %d seeds, with stories of %v steps", s.schedules, s.missed, s.steps)
			}
			t.Logf("%s\nfor example %s", g.Mistake, s.last)
			fmt.Fprintf(&table, "\n| %-23s | %4d | %4d | %d | %d | %s |", g.Name, median(s.schedules), slices.Max(s.schedules), median(s.steps), slices.Max(s.steps), g.Wrong)
		})
	}
	t.Logf("%d seeds\n| %-23s | median schedules | most | median steps | most | what the kit says |\n|---|---:|---:|---:|---:|---|%s", n, "bug", table.String())
}

// searched is how a bug was found from several seeds.
type searched struct {
	schedules, steps []int // a seed
	missed           int   // seeds that did not
	last             bustest.Found
}

func search(t *testing.T, g Bug, seeds uint64) searched {
	t.Helper()
	var s searched
	for seed := range seeds {
		f := bustest.Search(t, g.System(), bustest.Exploration{Schedules: 2 * maxSchedules, Seed: seed + 1}, g.Scenario)
		if len(f.Wrong) == 0 {
			s.missed++
			s.schedules = append(s.schedules, math.MaxInt32)
			continue
		}
		if !strings.Contains(strings.Join(f.Wrong, "\n"), g.Wrong) {
			t.Errorf("seed %d: found for another reason than %q:\n%s", seed+1, g.Wrong, f)
		}
		s.schedules, s.steps, s.last = append(s.schedules, f.Schedules), append(s.steps, len(f.Story)), f
	}
	if len(s.steps) == 0 {
		t.Fatal("no seed finds it")
	}
	return s
}

func median(of []int) int {
	of = slices.Sorted(slices.Values(of))
	return of[len(of)/2]
}

// What is only wrong in several deployables is not found in one.
func TestOneProcessHidesIt(t *testing.T) {
	for _, g := range distributed {
		t.Run(g.Name, func(t *testing.T) {
			g.Apart = false
			if f := bustest.Search(t, g.System(), bustest.Exploration{Schedules: 2 * maxSchedules}, g.Scenario); len(f.Wrong) > 0 {
				t.Errorf("it is wrong in one process, too:\n%s", f)
			}
		})
	}
}

// What people read of it is kept as a file, which docs/testing.md shows.
func TestStoryOfSeveralDeployables(t *testing.T) {
	f := bustest.Search(t, distributed[0].System(), bustest.Exploration{Exhaustive: true, Faults: -1}, distributed[0].Scenario)
	got, _, _ := strings.Cut(f.String(), "again:")
	const file = "testdata/story.txt"
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got {
		t.Errorf("the story is\n%s\nwant\n%s: %v (go test -update writes it)", got, want, err)
	}
}

// The right shop is never blamed.
func TestRightShopIsNotBlamed(t *testing.T) {
	for i, g := range Bugs {
		t.Run(g.Name, func(t *testing.T) {
			x := bustest.Exploration{Schedules: 55, Seed: uint64(i) + 100} // every scenario has another seed, and many are the same
			if f := bustest.Search(t, Bug{Apart: g.Apart}.System(), x, g.Scenario); len(f.Wrong) > 0 {
				t.Error(f)
			}
		})
	}
}

// Every part of the kit earns its keep: without it, there is a bug that is not found any more.
func TestEveryPartIsNeeded(t *testing.T) {
	parts := map[bustest.Part]string{
		bustest.Orders: "Orders", bustest.Crashes: "Crashes", bustest.Twice: "Twice", bustest.Troubles: "Troubles", bustest.Pauses: "Pauses",
		bustest.Again: "Again", bustest.Answers: "Answers", bustest.Books: "Books", bustest.Keys: "Keys", bustest.Fences: "Fences", bustest.Ends: "Ends",
	}
	for _, part := range slices.Sorted(maps.Keys(parts)) {
		t.Run(parts[part], func(t *testing.T) {
			needy := slices.DeleteFunc(slices.Clone(Bugs), func(g Bug) bool { return g.Needs&part == 0 })
			if len(needy) == 0 {
				t.Fatal("no planted bug needs it")
			}
			x := bustest.Exploration{Seed: 7}
			without := 2 * maxSchedules
			if os.Getenv("PLANTED_SEEDS") == "" { // it takes a while to find nothing
				needy, without = needy[:1], maxSchedules
			}
			for _, g := range needy {
				x.Without, x.Schedules = 0, 2*maxSchedules
				if f := bustest.Search(t, g.System(), x, g.Scenario); len(f.Wrong) == 0 {
					t.Errorf("%s is not found with it", g.Name)
				}
				x.Without, x.Schedules = part, without
				if f := bustest.Search(t, g.System(), x, g.Scenario); len(f.Wrong) > 0 {
					t.Errorf("%s is found without it:\n%s", g.Name, f)
				}
			}
		})
	}
}

// What the keys tell early, the books tell in the end.
func TestBooksTellOfAnotherKey(t *testing.T) {
	i := slices.IndexFunc(Bugs, func(g Bug) bool { return g.Name == "charged-by-attempt" })
	x := bustest.Exploration{Schedules: 2 * maxSchedules, Without: bustest.Keys}
	f := bustest.Search(t, Bugs[i].System(), x, Bugs[i].Scenario)
	if want := "books: the gateway has charged 5980"; !strings.Contains(strings.Join(f.Wrong, "\n"), want) {
		t.Errorf("found %q, want %q", f.Wrong, want)
	}
}
