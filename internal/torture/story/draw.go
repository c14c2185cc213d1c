package story

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/troupebus/troupe/internal/torture/disk"
)

// Kind names a group of schedules and draws their steps.
type Kind struct {
	Name  string
	steps func(*drawer)
}

// Kinds are all kinds of schedules, each with its focus.
var Kinds = []Kind{
	{"anything", (*drawer).anything},
	{"starts", (*drawer).starts},       // commands, publishers and readers during a start
	{"moods", (*drawer).moods},         // handlers that fail by a mistake of their own
	{"weather", (*drawer).weathers},    // a store that refuses a large backlog
	{"locks", (*drawer).locks},         // another program holds the file's lock
	{"order", (*drawer).order},         // replays among retried, blocked and new events of few keys
	{"owners", (*drawer).owners},       // the same file under several names
	{"gone", (*drawer).gone},           // files that are removed or moved away
	{"snapshots", (*drawer).snapshots}, // readers that stay, and a write-ahead log that grows
	{"large", (*drawer).large},         // events of a megabyte
	{"shop", (*drawer).shops},          // the shop itself, and its books
	{"moves", (*drawer).moves},         // modules that are split from the shop and merged back, with kills
	{"wire", (*drawer).wires},          // the shop in two deployables, and a broker that goes away
	{"clocks", (*drawer).clocks},       // clocks that step by a second or a year, and starts with a wrong clock
	{OverBroker, (*drawer).across},     // a flow over three deployables, and a network that fails in every way
	{OverKafka, (*drawer).across},      // the same over a real Kafka, where the environment names a server
	{OverPostgres, (*drawer).across},   // the same over a real PostgreSQL
}

// Draw returns the schedule of seed. An empty kind lets the seed choose among the kinds that need no server.
func Draw(seed uint64, kind string) (Schedule, error) {
	d := &drawer{r: rand.New(rand.NewPCG(seed, 0x70727475)), next: map[string]int{}}
	local := slices.DeleteFunc(slices.Clone(Kinds), func(k Kind) bool { return Servers[k.Name] != "" })
	k := local[seed%uint64(len(local))]
	if kind != "" {
		i := slices.IndexFunc(Kinds, func(k Kind) bool { return k.Name == kind })
		if i < 0 {
			return Schedule{}, fmt.Errorf("torture: there is no kind %q", kind)
		}
		k = Kinds[i]
	}
	k.steps(d)
	return Schedule{Seed: seed, Kind: k.Name, Steps: d.steps}, nil
}

// drawer draws the steps of a schedule.
type drawer struct {
	r     *rand.Rand
	next  map[string]int // number of the next event, by key
	steps []Step
}

func (d *drawer) do(s ...Step) { d.steps = append(d.steps, s...) }

// between draws a number from low to high, both included, and small numbers more often.
func (d *drawer) between(low, high int) int {
	f := d.r.Float64()
	return low + int(f*f*float64(high-low+1))
}

func (d *drawer) chance(percent int) bool { return d.r.IntN(100) < percent }

func pick[T any](d *drawer, of ...T) T { return of[d.r.IntN(len(of))] }

// allMoods are all ways in which the moody handlers take an event.
var allMoods = []string{
	"foreign-key", "or-rollback", "raise-rollback", "returning", "own-context", "commit", "rollback", "hang", "hang-raw", "panic",
	"shocking", "inside", "dead", "sick", "flaky", "deaf", "late", "also-foreign-key",
}

// workMoods are the mistakes of a unit of work.
var workMoods = []string{"foreign-key", "or-rollback", "raise-rollback", "returning", "commit", "rollback", "dead"}

// events sets the numbers of the events that step s emits, and a key where s has none.
func (d *drawer) events(s Step, keys int) Step {
	if s.Key == "" {
		s.Key = fmt.Sprint("k", d.r.IntN(keys))
	}
	s.Count, s.Calls = max(s.Count, 1), max(s.Calls, 1)
	s.N = d.next[s.Key] + 1
	d.next[s.Key] += s.Count * s.Calls
	return s
}

func (d *drawer) publish(keys, calls, count, wait int) {
	s := Step{Do: Publish, Calls: d.between(1, calls), Count: d.between(1, count), Wait: d.between(0, wait)}
	if d.chance(20) {
		s.Do = Work
	}
	if d.chance(10) {
		s.After = d.between(1, 1500)
	}
	d.do(d.events(s, keys))
}

func (d *drawer) moody(moods []string, keys, wait int) {
	d.do(d.events(Step{Do: Publish, Mood: pick(d, moods...), Calls: d.between(1, 3), Wait: d.between(0, wait)}, keys))
}

// person draws a command of daily use.
func (d *drawer) person(wait int) {
	id := fmt.Sprint(d.between(1, 5))
	args := pick(d,
		[]string{"dlq", "list"}, []string{"dlq", "list", "--json", "--status", "all"}, []string{"dlq", "list", "--causes"},
		[]string{"dlq", "show", id}, []string{"dlq", "replay", id}, []string{"dlq", "replay", "--all"}, []string{"dlq", "drop", id},
		[]string{"dlq", "drop", id}, []string{"events", "--json", "--limit", "0", "--type", "torture.asked"}, []string{"events", "--limit", "20"},
		[]string{"trace", "k0"}, []string{"verify"}, []string{"split", "--check"}, []string{"resend"},
	)
	d.do(Step{Do: Command, Args: args, Wait: d.between(0, wait)})
}

func (d *drawer) outsider(keys, hold, wait int) {
	d.do(d.events(Step{Do: Foreign, Count: d.between(1, 100), For: d.between(0, hold), Wait: d.between(0, wait)}, keys))
}

func (d *drawer) owner(wait int) {
	s := Step{Do: Start, Wait: wait}
	if d.chance(15) {
		s.Mood = "normal"
	}
	d.do(s)
}

// end draws a stop or a kill of the owner.
func (d *drawer) end() {
	d.do(Step{Do: pick(d, Stop, Kill, Kill), Wait: d.between(0, 50)})
}

func (d *drawer) anything() {
	d.owner(d.between(0, 300))
	for range 8 + d.r.IntN(12) {
		switch d.r.IntN(12) {
		case 0:
			d.end()
			d.owner(d.between(0, 300))
		case 1:
			d.do(Step{Do: Freeze, For: d.between(50, 1000), Wait: d.between(0, 200)})
		case 2, 3, 4:
			d.publish(5, 20, 20, 200)
		case 5, 6:
			d.moody(allMoods, 5, 200)
		case 7, 8:
			d.person(100)
		case 9:
			d.outsider(5, 800, 200)
		case 10:
			d.do(Step{Do: Read, For: d.between(50, 2000), Wait: d.between(0, 200)})
		case 11:
			d.do(Step{Do: Weather, Mood: string(pick(d, disk.Weathers()...)), For: d.between(50, 1500), Wait: d.between(0, 300)})
		}
	}
}

func (d *drawer) starts() {
	d.owner(300)
	d.moody([]string{"dead", "panic"}, 3, 0)
	d.moody([]string{"dead", "panic"}, 3, 400)
	for range 3 + d.r.IntN(3) {
		d.do(Step{Do: pick(d, Stop, Stop, Kill), Wait: d.between(0, 20)})
		others := 2 + d.r.IntN(6)
		at := d.r.IntN(others)
		for i := range others {
			if i == at {
				d.owner(d.between(0, 30))
			}
			switch d.r.IntN(6) {
			case 0:
				d.person(10)
			case 1, 2:
				d.do(Step{Do: Command, Args: []string{"dlq", pick(d, "drop", "replay"), fmt.Sprint(d.between(1, 8))}, Wait: d.between(0, 15)})
			case 3, 4:
				d.outsider(3, 20, 15)
			case 5:
				d.do(Step{Do: Read, For: d.between(0, 100), Wait: d.between(0, 15)})
			}
		}
		d.publish(3, 20, 5, 300)
		d.moody([]string{"dead"}, 3, 0)
		d.publish(3, 20, 5, 300)
	}
}

func (d *drawer) moods() {
	d.owner(300)
	moods := []string{pick(d, allMoods...), pick(d, allMoods...)}
	for range 6 + d.r.IntN(8) {
		switch d.r.IntN(6) {
		case 0, 1:
			d.moody(moods, 5, 100)
		case 2, 3:
			d.publish(5, 30, 5, 50)
		case 4:
			s := d.events(Step{Do: Work, Calls: d.between(1, 30), Count: d.between(1, 3)}, 5)
			if d.chance(50) {
				s.Mood = pick(d, workMoods...)
			}
			d.do(s)
		case 5:
			d.person(50)
		}
	}
}
