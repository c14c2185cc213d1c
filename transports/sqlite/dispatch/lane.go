package dispatch

import (
	"container/heap"
	"time"
)

// lane is the state of a Lane with open deliveries.
type lane struct {
	id      Lane
	head    *Task   // the only delivery that may run
	waiting []*Task // in memory, after the head
	bytes   int     // of waiting
	disk    bool    // may have rows on disk: younger than waiting, unless the lane is stale
	stale   bool    // after an act on the lane: rows may be older than waiting
	looked  bool    // is in looks
	looking bool    // the caller is looking at the lane

	due   time.Time // while the lane is held
	pause time.Duration
	index int // in held, -1 outside
}

func (m *Machine) add(id Lane) *lane {
	l := &lane{id: id, index: -1}
	m.lanes[id] = l
	return l
}

// advance continues with the next delivery of l, which has no head.
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

// block lets the caller record t as blocked.
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

// look lets the caller look at the oldest row of l, which has no head.
func (m *Machine) look(l *lane) {
	if l.looked {
		return
	}
	m.release(l)
	l.looked = true
	m.looks = append(m.looks, l)
	m.wake()
}

// hold keeps l waiting until due, but no longer than pause: if the clock was ahead when a row was written, the row's
// due time is too late.
func (m *Machine) hold(l *lane, due time.Time, pause time.Duration) {
	l.due, l.pause = sooner(due, m.now, pause), pause
	heap.Push(&m.held, l)
	m.wake()
}

// release removes l from held.
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

// tolerated is the difference by which the times from concurrent callers may be out of order.
const tolerated = time.Second

// setTime sets the time. When the clock was set back, no wait gets longer than its pause, and a sweep starts: the
// caller corrects the rows that the sweep finds.
func (m *Machine) setTime(now time.Time) {
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

// heldLanes is a heap: the lane that is due first is on top, and at the same time the lane with the smaller id.
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
