package torture

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/troupebus/troupe/internal/torture/story"
	"github.com/troupebus/troupe/internal/torture/talk"
)

// ask is a request for events, and the answer.
type ask struct {
	what, key, mood string
	n, count        int
	delayed         bool
	answer, said    string // talk.Done and the like, and the error; "" before the answer
	asked           time.Time
	took            time.Duration
}

// act is a command of a person on dead letters.
type act struct {
	reason, verb, answer, said string
}

// model has all knowledge from outside of the processes.
type model struct {
	mu       sync.Mutex
	all      []*ask
	acts     []act
	findings []story.Finding
	found    map[story.Finding]bool
	tally    Tally
	loss     string // why the journal cannot be compared with the model any more

	lag        time.Duration // how busy this machine is: the longest delay of a timer
	stormy     bool          // the disk was not always good
	syncFailed bool          // a sync may have failed: the log of the owner then asks for a restart
}

func (m *model) asks(a ask) *ask {
	m.mu.Lock()
	defer m.mu.Unlock()
	a.asked = time.Now()
	m.all = append(m.all, &a)
	return &a
}

func (m *model) answered(a *ask, answer, said string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a.answer, a.said, a.took = answer, said, time.Since(a.asked)
}

func (m *model) acted(a act) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.acts = append(m.acts, a)
}

// find records a finding, unless it is known.
func (m *model) find(class, format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := story.Finding{Class: class, Text: fmt.Sprintf(format, args...)}
	if class == "died" && strings.Contains(f.Text, " is in use by another program") {
		f.Class = "machine" // a program took the port of a process that was away: a fault of Troupe happens again
	}
	if !m.found[f] {
		m.found[f] = true
		m.findings = append(m.findings, f)
	}
}

// has reports whether there is a finding of a class.
func (m *model) has(classes ...string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.findings {
		for _, c := range classes {
			if f.Class == c {
				return true
			}
		}
	}
	return false
}

// answeredDone reports whether an owner ever acknowledged an event: then the journal has all its tables. A foreign
// publisher needs only some of the tables, which exist even if the owner was stopped during its first start.
func (m *model) answeredDone() bool {
	return m.number(func(a *ask) bool { return a.answer == talk.Done && a.what != story.Foreign }) > 0
}

// mustHave returns the number of events that must be in the log by now.
func (m *model) mustHave() int {
	return m.number(func(a *ask) bool { return a.answer == talk.Done && !a.delayed })
}

// mayHave returns the number of events that can be in the log by now.
func (m *model) mayHave() int {
	return m.number(func(a *ask) bool { return a.answer != talk.NotDone })
}

func (m *model) number(counts func(*ask) bool) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, a := range m.all {
		if counts(a) {
			n += a.count
		}
	}
	return n
}

// alwaysGood reports whether the disk never failed.
func (m *model) alwaysGood() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.stormy
}

// results returns the findings so far.
func (m *model) results() []story.Finding {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.findings)
}

// lose records why the journal cannot be compared with the model any more.
func (m *model) lose(why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loss = why
}

func (m *model) lost() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loss
}
