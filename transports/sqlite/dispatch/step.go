package dispatch

import (
	"time"
)

// Kind is what a Step asks for.
type Kind uint8

// The kinds of steps, with the method that takes the answer.
const (
	Wait    Kind = iota // nothing, until Step.Until (zero for no moment), or until wake is called
	Record              // write that Tasks are blocked: Recorded
	Look                // read the oldest row of Lane, and its event when it is to run now: Found
	SweepOn             // read the oldest rows of the next lanes after After, and put right what a clock wrote that was ahead: Swept
	LookDue             // read the next retrying rows after Mark, by Mark: FoundDue
	ReadLog             // read at most Tasks events of at most Bytes behind Pos: Admit
)

// Step is what the caller must do next.
type Step struct {
	Kind  Kind
	Until time.Time
	Tasks []*Task
	Lane  Lane
	After Lane
	Mark  Mark
	Room  Room

	sweep int // the number of the sweep
}

// Room is how much may be admitted, at least one event.
type Room struct{ Tasks, Bytes int }

// Mark is a place among the retrying rows, by when they are due and, of those due at once, by key and seq.
type Mark struct {
	Due time.Time
	Key string
	Seq int64
}

// State is that of a row.
type State uint8

// The states of a row.
const (
	Blocked  State = iota // runs when it is the oldest of its lane
	Retry                 // runs when it is, too, and Due has come
	Standing              // a dead letter that parks its key
)

// Row is a delivery that the disk has as open.
type Row struct {
	Lane  Lane
	Seq   int64
	State State
	Due   time.Time     // of a Retry
	Pause time.Duration // of a Retry: what was asked for when it was written
	More  bool          // with Look: its lane has younger ones
}

// Runs reports whether r is to run now.
func (r Row) Runs(now time.Time) bool {
	return r.State == Blocked || r.State == Retry && !sooner(r.Due, now, r.Pause).After(now)
}

// Next returns what to do at that moment. The caller does it, hands in the answer, and asks again, until it is a Wait. Only one
// goroutine may do so; other calls may come in between.
func (m *Machine) Next(now time.Time) Step {
	m.hear(now)
	m.popDue(now)
	m.forget()
	if len(m.toBlock) > 0 {
		tasks := m.toBlock
		m.toBlock = nil
		return Step{Kind: Record, Tasks: tasks}
	}
	if len(m.looks) > 0 {
		if m.loads.room(m.limits) {
			l := m.looks[0]
			m.looks[0] = nil
			m.looks = m.looks[1:]
			l.looked, l.looking, l.stale = false, true, false
			m.looking = l
			return Step{Kind: Look, Lane: l.id}
		}
		m.wantsLoads = true
	} else if step, ok := m.explore(now); ok {
		return step
	}
	if m.unread && !m.stopped {
		m.disk.yielded = true
		if m.admits.room(m.limits) {
			m.disk.outdated = false
			return Step{Kind: ReadLog, Room: Room{m.limits.Tasks - m.admits.tasks, m.limits.Bytes - m.admits.bytes}}
		}
		m.wantsAdmits = true
	}
	return Step{Kind: Wait, Until: m.until()}
}

// popDue has run, or looked at, what is due.
func (m *Machine) popDue(now time.Time) {
	for i := 0; i < len(m.refused); {
		t := m.refused[i]
		if t.due.After(now) {
			i++
			continue
		}
		m.refused = append(m.refused[:i], m.refused[i+1:]...)
		m.launch(t)
	}
	for len(m.held) > 0 && !m.held[0].due.After(now) {
		m.look(m.held[0])
	}
}

// until is the next moment at which something is due.
func (m *Machine) until() (first time.Time) {
	take := func(t time.Time) {
		if first.IsZero() || t.Before(first) {
			first = t
		}
	}
	for _, t := range m.refused {
		take(t.due)
	}
	if len(m.held) > 0 {
		take(m.held[0].due)
	}
	if !m.disk.later.IsZero() && len(m.looks) == 0 { // otherwise room is what is waited for
		take(m.disk.later)
	}
	return first
}

// Recorded takes the answer to a Record: the tasks of that step are on disk, or nothing is.
func (m *Machine) Recorded(tasks []*Task, ok bool) {
	if !ok {
		m.toBlock = append(tasks, m.toBlock...)
		return
	}
	for _, t := range tasks {
		m.land(t)
	}
}

// Found takes the answer to a Look: the oldest row of the lane, nil for none, and the delivery if the row Runs at that moment.
func (m *Machine) Found(id Lane, row *Row, t *Task, now time.Time) {
	m.hear(now)
	l := m.lanes[id]
	if l == nil || !l.looking {
		return
	}
	l.looking, m.looking = false, nil
	switch {
	case l.stale: // what was found may be from before the act
		m.look(l)
	case row == nil:
		l.disk = false
		m.advance(l)
	case m.early(*row):
		l.disk = true
	case t != nil:
		if t.blocked = row.State == Blocked; t.blocked {
			m.disk.blocked--
		}
		l.disk = row.More
		l.head = t
		m.tasks[t.Seq] = t
		m.loads.add(t)
		m.launch(t)
	case row.State == Retry:
		l.disk = true
		m.hold(l, row.Due, row.Pause)
	default:
		l.disk = true
	}
}

// Unfound takes back a Look that failed.
func (m *Machine) Unfound(id Lane) {
	if l := m.lanes[id]; l != nil && l.looking {
		l.looking, m.looking = false, nil
		m.look(l)
	}
}

// Acted takes up that another process changed rows of a lane. The event is that of the row.
func (m *Machine) Acted(id Lane, seq int64) {
	l := m.lanes[id]
	switch {
	case l == nil && m.tasks[seq] == nil && len(m.looks) > m.limits.Lanes:
		m.Sweep()
	case l == nil:
		m.touch(id, seq)
	case l.head != nil && l.head.state != handedOut: // it has not begun: its turn may be another's now
		m.giveBack(l)
	case l.head != nil || l.looking:
		l.stale, l.disk = true, true
	default:
		l.disk = true
		m.look(l)
	}
}

// giveBack leaves the head of l, and what waits behind it, to the disk.
func (m *Machine) giveBack(l *lane) {
	t := l.head
	l.head, l.disk = nil, true
	if t.state == refused {
		m.unrefuse(t)
	}
	if t.slot != nil {
		m.block(l, t)
	} else {
		if t.blocked {
			m.disk.blocked++
		}
		m.land(t)
	}
	m.blockWaiting(l)
	m.look(l)
}

// CountBlocked adds to the blocked deliveries that the disk has.
func (m *Machine) CountBlocked(n int) { m.disk.blocked += n }

// Left is what is left to do of what was admitted.
type Left struct {
	Ready    int // in memory and not handed out, or not yet known
	Handed   int
	Retrying int
	Blocked  int
}

// Left counts what there is to do.
func (m *Machine) Left() Left {
	l := Left{
		Ready: len(m.tasks) - m.handed + len(m.looks), Handed: m.handed,
		Retrying: len(m.held) + m.disk.forgotten, Blocked: max(m.disk.blocked, 0),
	}
	if m.looking != nil {
		l.Ready++
	}
	if m.disk.sweeping || m.disk.again != 0 {
		l.Ready++
	}
	return l
}
