package torture

import (
	"fmt"
	"strings"
	"syscall"

	"github.com/troupebus/troupe/internal/torture/story"
	"github.com/troupebus/troupe/internal/torture/talk"
)

// Tally counts what was done to the processes, and what they acknowledged, by what Counted names.
type Tally map[string]int

// Counted are the names in a Tally, in the order in which they are told.
var Counted = []string{"acknowledged", "kills", "stops", "freezes", "commands", "bad weather", "wire faults", "clock steps", "large records", "deletions"}

var countedAs = map[string]string{
	story.Kill: "kills", story.Stop: "stops", story.Freeze: "freezes", story.Command: "commands", story.Weather: "bad weather", story.Network: "wire faults", story.StepClock: "clock steps",
}

// Add adds what other counted.
func (t Tally) Add(other Tally) {
	for name, n := range other {
		t[name] += n
	}
}

// String tells what was counted.
func (t Tally) String() string {
	var parts []string
	for _, name := range Counted {
		if n := t[name]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, name))
		}
	}
	return strings.Join(parts, ", ")
}

// count adds to what was done.
func (m *model) count(what string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tally[what] += n
}

// done counts a step that is carried out.
func (m *model) done(s story.Step) {
	if name := countedAs[s.Do]; name != "" {
		m.count(name, 1)
	}
}

// tallied is what was done, with the events that were acknowledged.
func (m *model) tallied() Tally {
	events := m.number(func(a *ask) bool { return a.answer == talk.Done })
	m.mu.Lock()
	defer m.mu.Unlock()
	all := Tally{"acknowledged": events}
	all.Add(m.tally)
	return all
}

// signals are how steps end a process.
var signals = map[string]syscall.Signal{story.Stop: syscall.SIGTERM, story.Kill: syscall.SIGKILL}
