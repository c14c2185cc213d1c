package wiretest

import (
	"context"
	"maps"
	"sync"

	"github.com/troupebus/troupe/bus/journal"
)

var _ journal.Memory = (*Memory)(nil)

// Memory implements journal.Memory without a journal. The methods are safe for concurrent use.
type Memory struct {
	id string

	mu    sync.Mutex
	head  int64
	noted map[string]map[int32]journal.Noted
}

// NewMemory returns the memory of a journal with this id and the newest seq head.
func NewMemory(id string, head int64) *Memory {
	return &Memory{id: id, head: head, noted: map[string]map[int32]journal.Noted{}}
}

// ID implements journal.Memory.
func (m *Memory) ID() string { return m.id }

// Head implements journal.Memory.
func (m *Memory) Head() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head
}

// Grow sets the head.
func (m *Memory) Grow(head int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.head = head
}

// Copy returns the memory of a copy of the journal in its current state.
func (m *Memory) Copy() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMemory(m.id, m.head)
	for position, noted := range m.noted {
		c.noted[position] = maps.Clone(noted)
	}
	return c
}

// Noted implements journal.Memory.
func (m *Memory) Noted(_ context.Context, position string) (map[int32]journal.Noted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.noted[position]), nil
}

// Note implements journal.Memory.
func (m *Memory) Note(position string, partition int32, n journal.Noted) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.noted[position] == nil {
		m.noted[position] = map[int32]journal.Noted{}
	}
	m.noted[position][partition] = n
}
