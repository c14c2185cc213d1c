package dispatch

import (
	"time"
)

// Kind is the kind of a Step.
type Kind uint8

// The kinds of steps, and the methods that take their results.
const (
	Wait    Kind = iota // until Step.Until (zero for no time limit), or until wake is called
	Record              // write the Tasks as blocked: Recorded
	Look                // read the oldest row of Lane, and its event if the row runs now: Found
	SweepOn             // read the oldest rows of the next lanes after After, correct due times of a fast clock: Swept
	LookDue             // read the next retrying rows after Mark, in the order of Mark: FoundDue
	ReadLog             // read at most Room.Tasks events of at most Room.Bytes after Pos: Admit
)

// Step is the next task of the caller.
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

// Room is the number and size of the events that may be admitted. At least one event may be admitted.
type Room struct{ Tasks, Bytes int }

// Mark is a position in the retrying rows, ordered by due time and, at the same time, by key and seq.
type Mark struct {
	Due time.Time
	Key string
	Seq int64
}

// State is the state of a row.
type State uint8

// The states of a row.
const (
	Blocked  State = iota // runs when it is the oldest row of its lane
	Retry                 // the same, once Due has come
	Standing              // a dead letter that parks its key
)

// Row is an open delivery on disk.
type Row struct {
	Lane  Lane
	Seq   int64
	State State
	Due   time.Time     // of a Retry
	Pause time.Duration // of a Retry: the pause that was requested when the row was written
	More  bool          // for Found: the lane has younger rows
}

// Runs reports whether r may run now.
func (r Row) Runs(now time.Time) bool {
	return r.State == Blocked || r.State == Retry && !sooner(r.Due, now, r.Pause).After(now)
}

// Next returns the next step. The caller executes the step, passes in the result, and calls Next again until the step
// is a Wait. Only a single goroutine may do so; other methods may be called in between.
func (m *Machine) Next(now time.Time) Step {
	m.setTime(now)
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

// popDue runs refused deliveries that are due, and looks at held lanes that are due.
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

// until returns the time at which the next delivery or lane is due, or the zero time.
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
	if !m.disk.later.IsZero() && len(m.looks) == 0 { // otherwise the machine waits for room
		take(m.disk.later)
	}
	return first
}

// Recorded takes the result of a Record: with ok, the tasks of the step are on disk, else no task is.
func (m *Machine) Recorded(tasks []*Task, ok bool) {
	if !ok {
		m.toBlock = append(tasks, m.toBlock...)
		return
	}
	for _, t := range tasks {
		m.remove(t)
	}
}

// Found takes the result of a Look: the oldest row of the lane, or nil, and the delivery if the row Runs at now.
func (m *Machine) Found(id Lane, row *Row, t *Task, now time.Time) {
	m.setTime(now)
	l := m.lanes[id]
	if l == nil || !l.looking {
		return
	}
	l.looking, m.looking = false, nil
	switch {
	case l.stale: // the row may be from before the act
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

// Unfound repeats a Look that failed.
func (m *Machine) Unfound(id Lane) {
	if l := m.lanes[id]; l != nil && l.looking {
		l.looking, m.looking = false, nil
		m.look(l)
	}
}

// Acted notes that another process changed rows of a lane. seq is the event of a changed row.
func (m *Machine) Acted(id Lane, seq int64) {
	l := m.lanes[id]
	switch {
	case l == nil && m.tasks[seq] == nil && len(m.looks) > m.limits.Lanes:
		m.Sweep()
	case l == nil:
		m.touch(id, seq)
	case l.head != nil && l.head.state != handedOut: // not begun: an older delivery may be next now
		m.returnToDisk(l)
	case l.head != nil || l.looking:
		l.stale, l.disk = true, true
	default:
		l.disk = true
		m.look(l)
	}
}

// returnToDisk leaves the head of l, and the deliveries that wait after the head, to the disk.
func (m *Machine) returnToDisk(l *lane) {
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
		m.remove(t)
	}
	m.blockWaiting(l)
	m.look(l)
}

// CountBlocked adds n to the number of blocked deliveries on disk.
func (m *Machine) CountBlocked(n int) { m.disk.blocked += n }

// Left counts the open deliveries, by state.
type Left struct {
	Ready    int // in memory and not handed out, or not known yet
	Handed   int
	Retrying int
	Blocked  int
}

// Left returns the numbers of open deliveries among the admitted events.
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
