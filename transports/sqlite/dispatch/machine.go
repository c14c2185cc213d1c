package dispatch

import (
	"time"
)

// Lane identifies deliveries that run in order: the deliveries of a key, or the delivery of an event without a key.
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
	Size   int  // of the event, in bytes
	OnDisk bool // for Admit, while Complete is false: the lane has rows
	Owner  any  // for the caller

	state state
	slot  *slot     // nil for a delivery that was loaded from a row
	acted bool      // without a lane: there was an act on the delivery
	due   time.Time // when state is refused
	pause time.Duration

	blocked bool // its row is blocked
}

func (t *Task) lane() Lane { return LaneOf(t.Key, t.Seq) }

type state uint8

const (
	waiting   state = iota
	ready           // may run once fewer than Parallel deliveries are handed out
	handedOut       // runs
	refused         // ran, but its answer could not be recorded: runs again soon
	blocking        // is being recorded as blocked
	gone
)

// slot keeps the position of a delivery in the log until all older deliveries are settled: it outlives the delivery.
type slot struct {
	seq     int64
	settled bool
}

// Limits bound the deliveries that a Machine hands out and keeps in memory.
type Limits struct {
	Parallel int // deliveries handed out at once
	Tasks    int // deliveries in memory that were admitted from the log, and the same number loaded from rows
	Bytes    int // of the events of each of these two kinds
	Waiting  int // deliveries of a key that wait in memory; more deliveries are recorded as blocked
	Lanes    int // lanes in memory that only wait; more lanes are left to the disk
}

// load counts deliveries in memory.
type load struct{ tasks, bytes int }

func (l *load) add(t *Task)    { l.tasks++; l.bytes += t.Size }
func (l *load) remove(t *Task) { l.tasks--; l.bytes -= t.Size }

func (l load) room(max Limits) bool { return l.tasks < max.Tasks && l.bytes < max.Bytes }

// Machine is the dispatch of a subscription. The zero value is not usable: call New. A Machine is not safe for
// concurrent use.
type Machine struct {
	limits Limits
	park   bool
	hand   func(*Task)
	wake   func()

	now     time.Time // the newest time from the caller
	pos     int64     // all events of the subscription up to here are admitted
	unread  bool      // there may be events after pos
	tasks   map[int64]*Task
	order   []*slot // admitted deliveries from the oldest that is not settled: the cursor is before it
	lanes   map[Lane]*lane
	queue   []*Task // ready
	handed  int
	admits  load
	loads   load
	refused []*Task
	toBlock []*Task
	looks   []*lane // lanes to look at, in the order of the requests
	looking *lane   // the lane that the caller looks at
	held    heldLanes
	disk    disk
	stopped bool

	wantsAdmits, wantsLoads bool // a step waits for room
}

// New returns the machine of a subscription whose cursor is at pos. The machine calls hand with each delivery to run,
// and wake when Next has a step although the caller did not ask. Both are called from within other methods, and must
// not call back. With park, a dead letter holds its key. The machine begins with a sweep.
func New(limits Limits, park bool, pos int64, hand func(*Task), wake func()) *Machine {
	m := &Machine{limits: limits, park: park, pos: pos, hand: hand, wake: wake}
	m.tasks, m.lanes = map[int64]*Task{}, map[Lane]*lane{}
	m.Sweep()
	return m
}

// News notes that there may be events after Pos.
func (m *Machine) News() { m.unread = true }

// Pos returns the seq up to which all events of the subscription were admitted.
func (m *Machine) Pos() int64 { return m.pos }

// Complete reports whether every lane with rows on disk is in memory.
func (m *Machine) Complete() bool { return m.disk.complete }

// Find returns the delivery of an event, or nil when the delivery is settled or not in memory.
func (m *Machine) Find(seq int64) *Task { return m.tasks[seq] }

// Oldest returns the seq of the oldest admitted event that has no row yet, or false when all events have rows.
func (m *Machine) Oldest() (seq int64, ok bool) {
	if len(m.order) == 0 {
		return 0, false
	}
	return m.order[0].seq, true
}

// Stop stops the machine: it hands out no more deliveries.
func (m *Machine) Stop() { m.stopped = true }

// Admit takes the next events of the log in order, and the position pos up to which the log was read. With more, there
// may be events after pos. When a sweep began since the step, Admit takes no event, and the log is read again: OnDisk
// of the events may be from before acts that only the sweep will find.
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
		m.enqueue(t)
	}
	m.pos, m.unread = pos, more
	if m.disk.again != 0 && pos >= m.disk.again {
		m.Sweep()
	}
}

// enqueue runs t, or lets t wait for its turn.
func (m *Machine) enqueue(t *Task) {
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

// full reports whether enough deliveries of l wait in memory. A lane may use an eighth of the bytes.
func (m *Machine) full(l *lane) bool {
	return len(l.waiting) >= m.limits.Waiting || l.bytes > m.limits.Bytes/8
}

// launch hands t out, now or once fewer than Parallel deliveries are handed out.
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

// fill hands out ready deliveries.
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

// remove removes t from memory: its row is on disk.
func (m *Machine) remove(t *Task) {
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

// Outcome is the result of an attempt, as far as the order of deliveries depends on it.
type Outcome uint8

// The outcomes.
const (
	Answered Outcome = iota // final: the key goes on
	Retrying                // the row has another attempt at Due
	Dead                    // final unless a person acts; with park, there is a row
)

// Verdict is an Outcome that was written to disk.
type Verdict struct {
	Outcome  Outcome
	Now, Due time.Time     // with Retrying
	Pause    time.Duration // with Retrying: the pause that was requested
}

// Settle ends a delivery with the verdict on disk. It returns false when the delivery is not in memory.
func (m *Machine) Settle(seq int64, v Verdict) bool {
	t := m.tasks[seq]
	if t == nil || t.state == waiting || t.state == blocking { // no attempt of such a delivery runs
		return false
	}
	m.remove(t)
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

// after continues with l when its head got the verdict v.
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
		m.setTime(v.Now)
		m.hold(l, v.Due, v.Pause)
	case parked:
	default:
		m.advance(l)
	}
}

// Refuse hands a delivery out again after a pause, because its answer could not be recorded. It returns false when the
// delivery was not handed out.
func (m *Machine) Refuse(seq int64, now time.Time, after time.Duration) bool {
	t := m.tasks[seq]
	if t == nil || t.state != handedOut {
		return false
	}
	m.handed--
	t.state, t.due, t.pause = refused, now.Add(after), after
	m.refused = append(m.refused, t)
	if l := m.lanes[t.lane()]; l != nil && l.stale { // an older delivery may be next now
		l.stale = false
		m.returnToDisk(l)
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

// Bytes returns the size of the events of all deliveries in memory.
func (m *Machine) Bytes() int { return m.admits.bytes + m.loads.bytes }
