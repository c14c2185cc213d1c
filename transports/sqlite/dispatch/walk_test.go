package dispatch

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var (
	thorough = flag.Bool("thorough", false, "walk through more interleavings")
	walks    = flag.Int("walks", 3000, "random walks")
	first    = flag.Uint64("first", 0, "seed of the first random walk")
)

func sortedLanes(m *Machine) []*lane {
	return slices.SortedFunc(maps.Values(m.lanes), func(a, b *lane) int { return compareLanes(a.id, b.id) })
}

// replayed is the world after actions.
func replayed(c config, actions []action) *world {
	w := newWorld(c)
	for _, a := range actions {
		w.do(a)
	}
	return w
}

// explore walks through every interleaving of c, and returns how many states there are and the actions to the first
// that is wrong.
func explore(c config) (states int, story []action, broken string) {
	seen := map[uint64]bool{}
	type node struct {
		parent *node
		a      action
		depth  int
	}
	path := func(n *node) []action {
		all := make([]action, n.depth)
		for ; n.parent != nil; n = n.parent {
			all[n.depth-1] = n.a
		}
		return all
	}
	for next := []*node{{}}; len(next) > 0; { // breadth first: the first story is the shortest
		var after []*node
		for _, n := range next {
			way := path(n)
			w := replayed(c, way)
			for _, a := range w.enabled() {
				v := replayed(c, way)
				v.do(a)
				if v.broken != "" {
					return len(seen), append(way, a), v.broken
				}
				if s := v.state(); !seen[s] {
					seen[s] = true
					after = append(after, &node{n, a, n.depth + 1})
				}
			}
		}
		next = after
	}
	return len(seen), nil, ""
}

func tell(story []action) string {
	lines := make([]string, len(story))
	for i, a := range story {
		lines[i] = a.String()
	}
	return strings.Join(lines, ", ")
}

func roomy(parallel int) Limits {
	return Limits{Parallel: parallel, Tasks: 8, Bytes: 8, Waiting: 4, Lanes: 8}
}

// Every interleaving of small cases: of a few minutes' worth with -thorough.
func TestEveryInterleaving(t *testing.T) {
	t.Parallel()
	k := func(keys string) []string { return strings.Split(strings.ReplaceAll(keys, "-", ""), " ") }
	tight := Limits{Parallel: 1, Tasks: 1, Bytes: 1, Waiting: 1}
	long := Limits{Parallel: 1, Tasks: 3, Bytes: 3, Waiting: 1} // a key is longer than what may wait of it in memory
	cases := []config{
		{keys: k("a a b"), limits: roomy(1), page: 1, budget: budget{refusals: 2, retries: 1}},
		{keys: k("a b a"), limits: tight, page: 1, budget: budget{retries: 1, crashes: 1}},
		{keys: k("a a a"), limits: tight, page: 1, budget: budget{deaths: 1, acts: 1, refusals: 1}},
		{keys: k("a a a"), limits: roomy(2), page: 2, park: true, budget: budget{deaths: 2, acts: 2}},
		{keys: k("- -"), limits: roomy(2), page: 1, budget: budget{deaths: 1, retries: 1, acts: 1}},
		{keys: k("a a"), limits: roomy(2), page: 2, budget: budget{deaths: 1, retries: 1, acts: 1, failures: 1}},
		{keys: k("a a a"), limits: long, page: 3, budget: budget{crashes: 1}},
	}
	if *thorough {
		cases = append(cases, []config{
			{keys: k("a a a"), limits: roomy(2), page: 2, budget: budget{deaths: 1, retries: 1, acts: 1}},
			{keys: k("- a -"), limits: roomy(2), page: 1, budget: budget{deaths: 1, retries: 1, acts: 1}},
			{keys: k("a a"), limits: roomy(1), page: 1, park: true, budget: budget{deaths: 1, retries: 1, acts: 1, crashes: 1}},
			{keys: k("a a"), limits: tight, page: 1, budget: budget{retries: 1, acts: 1, failures: 1, steps: 1}},
			{keys: k("a b a b"), limits: tight, page: 1, budget: budget{deaths: 1, acts: 1, crashes: 1}},
			{keys: k("a a a a a"), limits: tight, page: 2, budget: budget{deaths: 1, acts: 1, retries: 1}},
			{keys: k("a a b c"), limits: tight, page: 1, park: true, budget: budget{deaths: 1, acts: 1, refusals: 1}},
		}...)
	}
	for _, c := range cases {
		name := fmt.Sprintf("%q %+v park %t, %d in parallel, room for %d", c.keys, c.budget, c.park, c.limits.Parallel, c.limits.Tasks)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			states, story, broken := explore(c)
			if broken != "" {
				t.Fatalf("%s\nafter: %s", broken, tell(story))
			}
			t.Logf("%d states", states)
		})
	}
}

// Large cases at random.
func TestRandomWalks(t *testing.T) {
	t.Parallel()
	for n := range *walks {
		seed := *first + uint64(n)
		c, story, broken := walk(seed)
		if broken != "" {
			t.Fatalf("seed %d: %s\n%+v\nafter: %s", seed, broken, c, tell(story))
		}
	}
}

// walk takes random actions, and then all that are left without trouble, until nothing can happen any more.
func walk(seed uint64) (c config, story []action, broken string) {
	r := rand.New(rand.NewPCG(seed, 7))
	c = config{park: r.IntN(2) == 0, page: 1 + r.IntN(4)}
	c.limits = Limits{Parallel: 1 + r.IntN(4), Tasks: 1 + r.IntN(8), Waiting: 1 + r.IntN(4), Lanes: r.IntN(4)}
	c.limits.Bytes = 1 + r.IntN(c.limits.Tasks)
	for range 5 + r.IntN(40) {
		c.keys = append(c.keys, []string{"", "a", "b", "c", "d", "e", "f", "g"}[r.IntN(2+r.IntN(7))])
	}
	c.budget = budget{r.IntN(20), r.IntN(10), r.IntN(10), r.IntN(20), r.IntN(3), r.IntN(5), r.IntN(3)}
	w := newWorld(c)
	for n := 0; w.broken == ""; n++ {
		all := w.enabled()
		if len(all) == 0 {
			break
		}
		a := all[r.IntN(len(all))]
		story = append(story, a)
		w.do(a)
		if n > 20_000 {
			w.fail("it does not come to rest")
		}
	}
	for i := range w.log {
		if seq := int64(i + 1); w.broken == "" && w.next(seq) && w.events[seq].answer != "dead" {
			w.fail("event %d has no answer at the end: %q", seq, w.events[seq].answer)
		}
	}
	return c, story, w.broken
}
