package torture

import (
	"fmt"
	"strings"
	"syscall"

	"github.com/troupebus/troupe/internal/torture/story"
	"github.com/troupebus/troupe/internal/torture/talk"
)

// Tally counts the faults and the acknowledged events, by the names in Counted.
type Tally map[string]int

// Counted are the names in a Tally, in the order in which String prints them.
var Counted = []string{"acknowledged", "kills", "stops", "freezes", "commands", "bad weather", "wire faults", "clock steps", "large records", "deletions"}

var countedAs = map[string]string{
	story.Kill: "kills", story.Stop: "stops", story.Freeze: "freezes", story.Command: "commands", story.Weather: "bad weather", story.Network: "wire faults", story.StepClock: "clock steps",
}

// Add adds the numbers of other.
func (t Tally) Add(other Tally) {
	for name, n := range other {
		t[name] += n
	}
}

// String returns the numbers and names that are not 0, separated by commas.
func (t Tally) String() string {
	var parts []string
	for _, name := range Counted {
		if n := t[name]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, name))
		}
	}
	return strings.Join(parts, ", ")
}

// count adds n to the tally.
func (m *model) count(what string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tally[what] += n
}

// done counts step s.
func (m *model) done(s story.Step) {
	if name := countedAs[s.Do]; name != "" {
		m.count(name, 1)
	}
}

// tallied returns the tally with the number of acknowledged events.
func (m *model) tallied() Tally {
	events := m.number(func(a *ask) bool { return a.answer == talk.Done })
	m.mu.Lock()
	defer m.mu.Unlock()
	all := Tally{"acknowledged": events}
	all.Add(m.tally)
	return all
}

// signals are the signals of the steps that end a process.
var signals = map[string]syscall.Signal{story.Stop: syscall.SIGTERM, story.Kill: syscall.SIGKILL}
