package dispatch

import (
	"container/heap"
	"time"
)

// lane is a Lane that has something open.
type lane struct {
	id      Lane
	head    *Task   // the only one that may run
	waiting []*Task // in memory, behind the head
	bytes   int     // of those
	disk    bool    // it may have rows on disk, younger than what waits unless it is stale
	stale   bool    // somebody acted on it: its rows may be older than what waits
	looked  bool    // it is to be looked at
	looking bool    // the caller is looking at it

	due   time.Time // while it is held
	pause time.Duration
	index int // in held, -1 outside
}

func (m *Machine) add(id Lane) *lane {
	l := &lane{id: id, index: -1}
	m.lanes[id] = l
	return l
}

// advance goes on with the next of l, which has no head.
func (m *Machine) advance(l *lane) {
	switch {
	case len(l.waiting) > 0:
		t := l.waiting[0]
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		l.bytes -= t.Size
		l.head = t
		m.launch(t)
	case l.disk:
		m.look(l)
	default:
		delete(m.lanes, l.id)
	}
}

// block has t recorded as blocked.
func (m *Machine) block(l *lane, t *Task) {
	l.disk = true
	t.state = blocking
	m.disk.blocked++
	m.toBlock = append(m.toBlock, t)
	m.wake()
}

func (m *Machine) blockWaiting(l *lane) {
	for _, t := range l.waiting {
		m.block(l, t)
	}
	l.waiting, l.bytes = nil, 0
}

// look has the caller look at the oldest row of l, which has no head.
func (m *Machine) look(l *lane) {
	if l.looked {
		return
	}
	m.release(l)
	l.looked = true
	m.looks = append(m.looks, l)
	m.wake()
}

// hold has l wait until due, but no longer than pause: a row from a clock that was ahead is due too late.
func (m *Machine) hold(l *lane, due time.Time, pause time.Duration) {
	l.due, l.pause = sooner(due, m.now, pause), pause
	heap.Push(&m.held, l)
	m.wake()
}

// release ends the wait of l, if it is held.
func (m *Machine) release(l *lane) {
	if l.index >= 0 {
		heap.Remove(&m.held, l.index)
	}
}

func sooner(due, now time.Time, pause time.Duration) time.Time {
	if latest := now.Add(pause); latest.Before(due) {
		return latest
	}
	return due
}

// tolerated is by how much the moments that concurrent callers tell may be out of order.
const tolerated = time.Second

// hear takes note of the time. When the clock was put back, nothing waits longer than it was to: the caller puts the rows right
// that the sweep finds.
func (m *Machine) hear(now time.Time) {
	if now.After(m.now) {
		m.now = now
		return
	}
	if m.now.Sub(now) < tolerated {
		return
	}
	m.now = now
	for _, l := range m.held {
		l.due = sooner(l.due, now, l.pause)
	}
	heap.Init(&m.held)
	for _, t := range m.refused {
		t.due = sooner(t.due, now, t.pause)
	}
	m.Sweep()
}

// heldLanes has the lane on top that is due first, and of those due at once the one with the smaller name.
type heldLanes []*lane

// Len implements heap.Interface.
func (h heldLanes) Len() int { return len(h) }

// Less implements heap.Interface.
func (h heldLanes) Less(i, j int) bool {
	a, b := h[i], h[j]
	if !a.due.Equal(b.due) {
		return a.due.Before(b.due)
	}
	if a.id.Key != b.id.Key {
		return a.id.Key < b.id.Key
	}
	return a.id.Seq < b.id.Seq
}

// Swap implements heap.Interface.
func (h heldLanes) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *heldLanes) Push(l any) {
	l.(*lane).index = len(*h)
	*h = append(*h, l.(*lane))
}

// Pop implements heap.Interface.
func (h *heldLanes) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	l.index = -1
	return l
}
