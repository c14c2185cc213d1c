package tail

import (
	"sync"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// Bounds of the tail. Nearly always a subscription needs only the last few hundred events.
const (
	tailEvents = 4096
	MaxBytes   = 8 << 20
)

// Tail keeps the newest events in memory, without a gap. Subscriptions without lag never read the disk. The writer
// appends, subscriptions read.
type Tail struct {
	mu      sync.RWMutex
	events  []*journal.Event // ascending and without a gap
	bytes   int
	head    int64 // seq of the newest committed event
	durable int64 // seq of the newest event on disk
}

// Begin sets the newest events when a journal is opened: all are durable.
func (t *Tail) Begin(head int64, events []*journal.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events, t.head, t.durable = events, head, head
	for _, e := range events {
		t.bytes += row.EventSize(e)
	}
}

// Append adds the events of a commit, and reports a gap before the first: another connection wrote. A gap empties the
// tail, and readers go to the disk.
func (t *Tail) Append(events []*journal.Event) (gap bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range events {
		if e.Seq != t.head+1 {
			t.events, t.bytes, gap = nil, 0, true
		}
		t.head = e.Seq
		t.events = append(t.events, e)
		t.bytes += row.EventSize(e)
	}
	if len(t.events) > 2*tailEvents || t.bytes > 2*MaxBytes {
		t.trim()
	}
	return gap
}

// trim drops the oldest half or more, into a new slice, to free the memory.
func (t *Tail) trim() {
	drop := 0
	for len(t.events)-drop > 1 && (len(t.events)-drop > tailEvents || t.bytes > MaxBytes) {
		t.bytes -= row.EventSize(t.events[drop])
		drop++
	}
	t.events = append(make([]*journal.Event, 0, 2*tailEvents), t.events[drop:]...)
}

// SkipTo records commits of other connections up to head.
func (t *Tail) SkipTo(head int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if head > t.head {
		t.events, t.bytes, t.head = nil, 0, head
	}
}

// MadeDurable records events up to seq as durable.
func (t *Tail) MadeDurable(seq int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.durable = max(t.durable, seq)
}

// Bound returns the seq up to which a reader may read, with durable the seq of the newest durable event.
func (t *Tail) Bound(durable bool) int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if durable {
		return t.durable
	}
	return t.head
}

// Newest returns the seq of the newest committed event.
func (t *Tail) Newest() int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.head
}

// Read appends to into the events after pos that match wants, at most limit events and about most bytes.
// Read returns the seq of the last event that was looked at, and false when the tail begins after pos.
func (t *Tail) Read(into []*journal.Event, pos int64, m *wake.Match, limit, most int) ([]*journal.Event, int64, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	bound := t.head
	if m.Durable {
		bound = t.durable
	}
	if pos >= bound {
		return into, pos, true
	}
	if len(t.events) == 0 || pos+1 < t.events[0].Seq {
		return into, pos, false
	}
	for _, e := range t.events[pos+1-t.events[0].Seq:] {
		if e.Seq > bound {
			break
		}
		if m.Wants(e.Type) {
			if limit == 0 || most <= 0 {
				return into, pos, true
			}
			into = append(into, e)
			limit--
			most -= row.EventSize(e)
		}
		pos = e.Seq
	}
	return into, pos, true
}
