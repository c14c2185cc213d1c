// Package mark tells whose position in a topic it is that a carrier keeps, for transports whose carriers keep
// positions: all of them judge alike. With each position goes a Mark. By it a process notices that its journal is not
// the one that the position was written for, that another process has taken over, and that the topic is another one
// than before.
//
// The package imports the standard library, bus/journal and bus/wire. It starts no goroutine and asks no carrier.
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

// Mark says who wrote a position.
type Mark struct {
	Journal string `json:"journal,omitempty"` // its identity
	Head    int64  `json:"head,omitempty"`    // seq of its newest event
	Topic   string `json:"topic,omitempty"`   // the topic's identity
	Run     string `json:"run"`               // the process
	Since   int64  `json:"since"`             // when that began, in microseconds; later than everybody before it

	// At and Was are for carriers on which a position can change without its mark: where it was when the mark was
	// written, and where it was before, if a process has put it back and nobody has acknowledged yet that it did.
	At  string `json:"at,omitempty"`
	Was string `json:"was,omitempty"`
}

// Parse returns the mark that text is. It returns false for text that no process of this kind has written.
func Parse(text string) (m Mark, ours bool) {
	if json.Unmarshal([]byte(text), &m) != nil || m.Run == "" {
		return Mark{}, false
	}
	return m, true
}

// String returns m as text for Parse.
func (m Mark) String() string {
	text, _ := json.Marshal(m) // of strings and numbers, which cannot fail
	return string(text)
}

// Process is a process as its marks tell it from others. Its methods are safe for concurrent use.
type Process struct {
	run   string
	since atomic.Int64

	mu    sync.Mutex
	heads map[string]int64 // by journal: the head when the journal was first seen
	read  map[[2]string]bool
}

// NewProcess returns a process that begins now.
func NewProcess() *Process {
	p := &Process{run: rand.Text(), heads: map[string]int64{}, read: map[[2]string]bool{}}
	p.since.Store(time.Now().UnixMicro())
	return p
}

// Mark returns what p writes with positions in the topic of that identity, for the journal of memory, which may be nil.
func (p *Process) Mark(topic string, memory journal.Memory) Mark {
	m := Mark{Topic: topic, Run: p.run, Since: p.since.Load()}
	if memory != nil {
		m.Journal, m.Head = memory.ID(), memory.Head()
	}
	return m
}

// Wrote reports whether p has written m.
func (p *Process) Wrote(m Mark) bool { return m.Run == p.run }

// Head returns the head that the journal of memory had when p first saw it; 0 where memory is nil. Transports call it
// before they connect: while a copy of a journal waits for the carrier, it may grow beyond the head that goes with the
// position.
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

// First reports whether p has not called it before for a topic and a group.
func (p *Process) First(topic, group string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := !p.read[[2]string{topic, group}]
	p.read[[2]string{topic, group}] = true
	return first
}

// Yield returns a wire.ErrReplaced where m, which a process of this kind has written, is that of a process that started
// later than p on a copy of the journal of memory. First says that p has written no mark there: then p is the later
// one, whatever the clock of the other said. Does says what that process does, for people.
func (p *Process) Yield(m Mark, memory journal.Memory, first bool, does string) error {
	if p.Wrote(m) || memory != nil && m.Journal != "" && m.Journal != memory.ID() {
		return nil
	}
	since := p.since.Load()
	switch {
	case m.Since < since:
	case first: // the clock of that process may be ahead of ours
		p.since.CompareAndSwap(since, m.Since+1)
	default:
		return fmt.Errorf("%w: it started later, at %s, and %s on a copy of this journal, or as another deployable of this name:"+
			" stop one of them; what both did since then is to be judged by a person",
			wire.ErrReplaced, time.UnixMicro(m.Since).UTC().Format(time.RFC3339), does)
	}
	return nil
}
