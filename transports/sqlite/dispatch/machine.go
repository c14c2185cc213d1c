package dispatch

import (
	"time"
)

// Lane names what keeps its order: a key, or one event without a key.
type Lane struct {
	Key string
	Seq int64 // with an empty Key only
}

// LaneOf returns the lane of an event.
func LaneOf(key string, seq int64) Lane {
	if key != "" {
		return Lane{Key: key}
	}
	return Lane{Seq: seq}
}

// Task is a delivery in memory.
type Task struct {
	Seq    int64
	Key    string
	Size   int  // of its event, in bytes
	OnDisk bool // with Admit, while Complete is false: its lane has rows
	Owner  any  // the caller's own

	state state
	slot  *slot     // nil unless it was admitted from the log
	acted bool      // without a lane: somebody acted on it
	due   time.Time // when refused
	pause time.Duration

	blocked bool // its row is
}

func (t *Task) lane() Lane { return LaneOf(t.Key, t.Seq) }

type state uint8

const (
	waiting   state = iota
	ready           // may run, and waits for one of the Parallel places
	handedOut       // runs
	refused         // ran, but its answer could not be recorded: runs again in a moment
	blocking        // is being recorded as blocked
	gone
)

// slot keeps a delivery's position in the order of the log until all older ones are settled: it outlives the delivery.
type slot struct {
	seq     int64
	settled bool
}

// Limits bound what a Machine hands out and keeps in memory.
type Limits struct {
	Parallel int // deliveries handed out at once
	Tasks    int // deliveries admitted from the log, and as many loaded from rows
	Bytes    int // of the events of each of these two kinds
	Waiting  int // deliveries of one key in memory behind one that runs; more are recorded as blocked
	Lanes    int // lanes in memory that only wait; more are left to the disk
}

// load counts deliveries in memory.
type load struct{ tasks, bytes int }

func (l *load) add(t *Task)    { l.tasks++; l.bytes += t.Size }
func (l *load) remove(t *Task) { l.tasks--; l.bytes -= t.Size }

func (l load) room(max Limits) bool { return l.tasks < max.Tasks && l.bytes < max.Bytes }

// Machine is the dispatch of one subscription. Its zero value is not ready: use New. It is not safe for concurrent use.
type Machine struct {
	limits Limits
	park   bool
	hand   func(*Task)
	wake   func()

	now     time.Time // the newest that the caller told
	pos     int64     // every wanted event up to here is admitted
	unread  bool      // there may be events behind pos
	tasks   map[int64]*Task
	order   []*slot // of what was admitted, from the oldest that is not settled: they bound the cursor
	lanes   map[Lane]*lane
	queue   []*Task // ready
	handed  int
	admits  load
	loads   load
	refused []*Task
	toBlock []*Task
	looks   []*lane // to be looked at, the oldest wish first
	looking *lane   // that the caller looks at
	held    heldLanes
	disk    disk
	stopped bool

	wantsAdmits, wantsLoads bool // a step is left undone for want of room
}

// New returns the machine of a subscription whose cursor is at pos. It calls hand with each delivery that is to run, and wake
// when Next has something to do although the caller did not ask. Both are called from within other methods, and must not call
// back. With park, a dead letter holds its key. It begins with a sweep.
func New(limits Limits, park bool, pos int64, hand func(*Task), wake func()) *Machine {
	m := &Machine{limits: limits, park: park, pos: pos, hand: hand, wake: wake, tasks: map[int64]*Task{}, lanes: map[Lane]*lane{}}
	m.Sweep()
	return m
}

// News notes that there may be events behind Pos.
func (m *Machine) News() { m.unread = true }

// Pos is the seq up to which every wanted event was admitted.
func (m *Machine) Pos() int64 { return m.pos }

// Complete reports whether every lane that has rows on disk is in memory.
func (m *Machine) Complete() bool { return m.disk.complete }

// Find returns the delivery of an event that is in memory, nil when it is settled, or left to the disk.
func (m *Machine) Find(seq int64) *Task { return m.tasks[seq] }

// Oldest is the seq of the oldest admitted event that has no row yet; false when all have.
func (m *Machine) Oldest() (seq int64, ok bool) {
	if len(m.order) == 0 {
		return 0, false
	}
	return m.order[0].seq, true
}

// Stop ends it: nothing is handed out any more.
func (m *Machine) Stop() { m.stopped = true }

// Admit takes the next events of the log in their order, and how far the log was read. With more, there may be events behind
// pos. When a sweep began since the step, it takes nothing, and has the log read again: what the disk said of their lanes may
// be from before acts that only the sweep will find.
func (m *Machine) Admit(tasks []*Task, pos int64, more bool) {
	if m.disk.outdated {
		m.disk.outdated, m.unread = false, true
		return
	}
	for _, t := range tasks {
		if m.tasks[t.Seq] != nil {
			continue
		}
		t.slot = &slot{seq: t.Seq}
		m.order = append(m.order, t.slot)
		m.tasks[t.Seq] = t
		m.admits.add(t)
		m.place(t)
	}
	m.pos, m.unread = pos, more
	if m.disk.again != 0 && pos >= m.disk.again {
		m.Sweep()
	}
}

// place has t run, or wait for its turn.
func (m *Machine) place(t *Task) {
	if t.Key == "" {
		m.launch(t)
		return
	}
	l := m.lanes[Lane{Key: t.Key}]
	switch {
	case l == nil && t.OnDisk:
		l = m.add(t.lane())
		m.block(l, t)
		m.look(l)
	case l == nil:
		l = m.add(t.lane())
		l.head = t
		m.launch(t)
	case l.head == nil || l.disk || l.stale || m.full(l):
		m.block(l, t)
	default:
		l.waiting = append(l.waiting, t)
		l.bytes += t.Size
	}
}

// full reports whether enough waits in memory behind the head of l. A lane has its share of the bytes.
func (m *Machine) full(l *lane) bool {
	return len(l.waiting) >= m.limits.Waiting || l.bytes > m.limits.Bytes/8
}

// launch hands t out, now or when there is a place.
func (m *Machine) launch(t *Task) {
	if m.handed >= m.limits.Parallel || m.stopped {
		t.state = ready
		m.queue = append(m.queue, t)
		return
	}
	t.state = handedOut
	m.handed++
	m.hand(t)
}

// fill hands out what waited for a place.
func (m *Machine) fill() {
	for len(m.queue) > 0 && m.handed < m.limits.Parallel && !m.stopped {
		t := m.queue[0]
		m.queue[0] = nil
		m.queue = m.queue[1:]
		if t.state == ready {
			m.launch(t)
		}
	}
}

// land takes t, which has its row, out of memory.
func (m *Machine) land(t *Task) {
	delete(m.tasks, t.Seq)
	switch t.state {
	case handedOut:
		m.handed--
	case refused:
		m.unrefuse(t)
	}
	t.state = gone
	if t.slot == nil {
		m.loads.remove(t)
	} else {
		m.admits.remove(t)
		t.slot.settled = true
	}
	for len(m.order) > 0 && m.order[0].settled {
		m.order = m.order[1:]
	}
	if m.wantsAdmits && m.admits.room(m.limits) || m.wantsLoads && m.loads.room(m.limits) {
		m.wantsAdmits, m.wantsLoads = false, false
		m.wake()
	}
}

// Outcome is what became of an attempt, as far as the order is concerned.
type Outcome uint8

// The outcomes.
const (
	Answered Outcome = iota // for good: its key goes on
	Retrying                // there is a row, and another attempt at Due
	Dead                    // for good, unless a person acts; with park, there is a row
)

// Verdict is an Outcome that is on disk.
type Verdict struct {
	Outcome  Outcome
	Now, Due time.Time     // with Retrying
	Pause    time.Duration // with Retrying: what was asked for
}

// Settle ends a delivery with the verdict that is on disk. It reports false for one that is not in memory.
func (m *Machine) Settle(seq int64, v Verdict) bool {
	t := m.tasks[seq]
	if t == nil || t.state == waiting || t.state == blocking { // of these two nobody can have an answer
		return false
	}
	m.land(t)
	l := m.lanes[t.lane()]
	if l == nil && (v.Outcome == Retrying || t.acted) {
		l = m.add(t.lane())
		l.stale = t.acted
	}
	if l != nil {
		m.after(l, v)
	}
	m.fill()
	return true
}

// after goes on with l when its head has got v.
func (m *Machine) after(l *lane, v Verdict) {
	l.head = nil
	parked := v.Outcome == Dead && m.park && l.id.Key != ""
	if v.Outcome == Retrying || parked {
		l.disk = true
	}
	if v.Outcome == Retrying || parked || l.stale {
		m.blockWaiting(l)
	}
	switch {
	case l.stale:
		l.stale = false
		m.look(l)
	case v.Outcome == Retrying:
		m.hear(v.Now)
		m.hold(l, v.Due, v.Pause)
	case parked:
	default:
		m.advance(l)
	}
}

// Refuse has a delivery handed out again after a moment: its answer could not be recorded, and says nothing of it. It reports
// false for one that was not handed out.
func (m *Machine) Refuse(seq int64, now time.Time, after time.Duration) bool {
	t := m.tasks[seq]
	if t == nil || t.state != handedOut {
		return false
	}
	m.handed--
	t.state, t.due, t.pause = refused, now.Add(after), after
	m.refused = append(m.refused, t)
	if l := m.lanes[t.lane()]; l != nil && l.stale { // its turn may be another's now
		l.stale = false
		m.giveBack(l)
	}
	m.fill()
	m.wake()
	return true
}

func (m *Machine) unrefuse(t *Task) {
	for i, r := range m.refused {
		if r == t {
			m.refused = append(m.refused[:i], m.refused[i+1:]...)
			return
		}
	}
}

// Bytes is the size of the events of all deliveries in memory.
func (m *Machine) Bytes() int { return m.admits.bytes + m.loads.bytes }
