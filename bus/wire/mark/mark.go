// Package mark detects positions in a topic that belong to another journal, for transports with a backend that stores
// positions. A process stores a Mark with each position. By the Mark, a later process detects that the position
// belongs to another journal, that another process has taken over, or that the topic was deleted and created again.
//
// The package imports the standard library, bus/journal and bus/wire. It starts no goroutine and calls no backend.
//
// Package mark is a seam: a minor version may change the package, and the changelog says how.
package mark

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
)

// Mark identifies the writer of a position.
type Mark struct {
	Journal string `json:"journal,omitempty"` // identity of the journal
	Head    int64  `json:"head,omitempty"`    // seq of the newest event in the journal
	Topic   string `json:"topic,omitempty"`   // identity of the topic
	Run     string `json:"run"`               // identity of the process
	Since   int64  `json:"since"`             // start of the process in microseconds, raised above earlier starts

	// At and Was are for backends on which a position can change without its mark. At is the position when the mark was
	// written. Was is the position before, if a process has put the position back and the report is not acknowledged yet.
	At  string `json:"at,omitempty"`
	Was string `json:"was,omitempty"`
}

// Parse parses text from Mark.String. ours is false for any other text.
func Parse(text string) (m Mark, ours bool) {
	if json.Unmarshal([]byte(text), &m) != nil || m.Run == "" {
		return Mark{}, false
	}
	return m, true
}

// String returns m as text for Parse.
func (m Mark) String() string {
	text, _ := json.Marshal(m) // cannot fail for strings and numbers
	return string(text)
}

// Process is the identity of a process in marks. All methods are safe for concurrent use.
type Process struct {
	run   string
	since atomic.Int64

	mu    sync.Mutex
	heads map[string]int64 // by journal: the head when the journal was first seen
	read  map[[2]string]bool
}

// NewProcess returns a process that starts now.
func NewProcess() *Process {
	p := &Process{run: rand.Text(), heads: map[string]int64{}, read: map[[2]string]bool{}}
	p.since.Store(time.Now().UnixMicro())
	return p
}

// Mark returns the mark for positions in the topic with that identity, for the journal of memory, which may be nil.
func (p *Process) Mark(topic string, memory journal.Memory) Mark {
	m := Mark{Topic: topic, Run: p.run, Since: p.since.Load()}
	if memory != nil {
		m.Journal, m.Head = memory.ID(), memory.Head()
	}
	return m
}

// Wrote reports whether p has written m.
func (p *Process) Wrote(m Mark) bool { return m.Run == p.run }

// Head returns the head of the journal of memory at the first call, or 0 when memory is nil. Transports call Head
// before they connect: while a copy of a journal waits for the backend, the copy may grow beyond the head in the mark.
func (p *Process) Head(memory journal.Memory) int64 {
	if memory == nil {
		return 0
	}
	id, head := memory.ID(), memory.Head()
	p.mu.Lock()
	defer p.mu.Unlock()
	if was, ok := p.heads[id]; ok {
		return was
	}
	p.heads[id] = head
	return head
}

// First reports whether this is the first call for a topic and a group.
func (p *Process) First(topic, group string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := !p.read[[2]string{topic, group}]
	p.read[[2]string{topic, group}] = true
	return first
}

// Yield returns a wire.ErrReplaced when m is the mark of a process that started later than p on a copy of the journal
// of memory. first says that p has written no mark there: then p is the later process, whatever the other clock says.
// does describes the work of the other process, for the error text.
func (p *Process) Yield(m Mark, memory journal.Memory, first bool, does string) error {
	if p.Wrote(m) || memory != nil && m.Journal != "" && m.Journal != memory.ID() {
		return nil
	}
	since := p.since.Load()
	switch {
	case m.Since < since:
	case first: // the clock of the other process may be ahead
		p.since.CompareAndSwap(since, m.Since+1)
	default:
		return fmt.Errorf("%w: the other process started later, at %s, and %s on a copy of this journal, or as another deployable of this name:"+
			" stop either, and check by hand what both have done since then",
			wire.ErrReplaced, time.UnixMicro(m.Since).UTC().Format(time.RFC3339), does)
	}
	return nil
}
