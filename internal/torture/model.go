package torture

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/troupebus/troupe/internal/torture/story"
	"github.com/troupebus/troupe/internal/torture/talk"
)

// ask is a request for events, and what was answered.
type ask struct {
	what, key, mood string
	n, count        int
	delayed         bool
	answer, said    string // talk.Done and the like; "" while there is none
	asked           time.Time
	took            time.Duration
}

// act is what a person did with dead letters.
type act struct {
	reason, verb, answer, said string
}

// model is what is known from outside.
type model struct {
	mu       sync.Mutex
	all      []*ask
	acts     []act
	findings []story.Finding
	found    map[story.Finding]bool
	tally    Tally
	loss     string // why the journal cannot be held against the model any more

	lag        time.Duration // how busy this machine is: the most that a timer was late
	stormy     bool          // the disk was not always good
	syncFailed bool          // a sync may have failed: owners ask to be started again then
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

// find notes what does not hold.
func (m *model) find(class, format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := story.Finding{Class: class, Text: fmt.Sprintf(format, args...)}
	if !m.found[f] {
		m.found[f] = true
		m.findings = append(m.findings, f)
	}
}

// has reports whether something of a class was found.
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

// known reports whether an owner ever acknowledged anything: then the journal has all its tables. A foreign publisher needs only some of
// them, which an owner that was stopped at its first start leaves.
func (m *model) known() bool {
	return m.number(func(a *ask) bool { return a.answer == talk.Done && a.what != story.Foreign }) > 0
}

// sure is how many events must be in the log by now.
func (m *model) sure() int {
	return m.number(func(a *ask) bool { return a.answer == talk.Done && !a.delayed })
}

// possible is how many events can be in the log by now.
func (m *model) possible() int {
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

// told is what was found so far.
func (m *model) told() []story.Finding {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.findings)
}

// lose notes why the journal cannot be held against the model any more.
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
