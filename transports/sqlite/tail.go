package sqlite

import (
	"sync"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// Bounds of the tail. What a subscription needs is nearly always among the last few hundred events.
const (
	tailEvents = 4096
	tailBytes  = 8 << 20
)

// tail keeps the newest events in memory, without a gap, so that subscriptions that keep up never read the disk. The
// writer appends; subscriptions read.
type tail struct {
	mu      sync.RWMutex
	events  []*journal.Event // ascending, each Seq one more than the one before
	bytes   int
	head    int64 // seq of the newest committed event
	durable int64 // seq of the newest that is on disk
}

// append takes what a commit appended, and reports a gap before it: another connection wrote. That empties the tail,
// and its readers go to the disk.
func (t *tail) append(events []*journal.Event) (gap bool) {
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
	if len(t.events) > 2*tailEvents || t.bytes > 2*tailBytes {
		t.trim()
	}
	return gap
}

// trim drops the oldest half or more, into a new slice, so that the memory is freed.
func (t *tail) trim() {
	drop := 0
	for len(t.events)-drop > 1 && (len(t.events)-drop > tailEvents || t.bytes > tailBytes) {
		t.bytes -= row.EventSize(t.events[drop])
		drop++
	}
	t.events = append(make([]*journal.Event, 0, 2*tailEvents), t.events[drop:]...)
}

// skipTo notes that other connections have committed events up to head.
func (t *tail) skipTo(head int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if head > t.head {
		t.events, t.bytes, t.head = nil, 0, head
	}
}

// madeDurable notes that everything up to seq is on disk.
func (t *tail) madeDurable(seq int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.durable = max(t.durable, seq)
}

// bound is how far a reader may look.
func (t *tail) bound(durable bool) int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if durable {
		return t.durable
	}
	return t.head
}

func (t *tail) newest() int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.head
}

// read appends to into the events behind pos that match wants, at most limit and until they have
// most bytes, and returns up to where it looked. It reports false when the tail does not reach back to pos.
func (t *tail) read(into []*journal.Event, pos int64, m *match, limit, most int) ([]*journal.Event, int64, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	bound := t.head
	if m.durable {
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
		if m.wants(e.Type) {
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

// match says which event types a reader wants.
type match struct {
	one     string // the usual case
	types   map[string]bool
	except  bool // types are those that are not wanted
	durable bool // only what is on disk: whoever gets it tells the outside
}

func newMatch(types []string, except bool) *match {
	m := &match{except: except, types: map[string]bool{}}
	for _, t := range types {
		m.types[t] = true
	}
	if len(types) == 1 && !except {
		m.one = types[0]
	}
	return m
}

func (m *match) wants(eventType string) bool {
	if m.one != "" {
		return m.one == eventType
	}
	return m.types[eventType] != m.except
}
