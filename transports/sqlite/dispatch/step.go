package dispatch

import (
	"container/heap"
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

// disk is what is known of the rows that are not in memory.
type disk struct {
	complete  bool
	sweeping  bool
	sweep     int       // its number
	another   bool      // is to follow it
	after     Lane      // the sweep is there
	outdated  bool      // the sweep began after the newest ReadLog
	yielded   bool      // the log was read since the sweep's last step
	forgot    bool      // lanes, since the sweep began
	forgotten int       // lanes that wait for a moment, and are not in memory
	later     time.Time // the first such moment; zero for none
	mark      Mark      // no such lane is before it
	again     int64     // when the log was read up to here, all lanes are to be swept again; 0 for not
	blocked   int
}

// early reports whether r must wait until the log was read up to it, and has it found again then: of its key, older events may
// have no row, since the process that was to handle them ended.
func (m *Machine) early(r Row) bool {
	if r.Lane.Key == "" || r.Seq <= m.pos {
		return false
	}
	m.disk.again = max(m.disk.again, r.Seq)
	return true
}

// Sweep has all lanes that have rows looked at once, from the first on: when one is under way, after that.
func (m *Machine) Sweep() {
	if m.disk.sweeping {
		m.disk.another, m.disk.outdated = true, true
		return
	}
	m.disk = disk{sweeping: true, sweep: m.disk.sweep + 1, blocked: m.disk.blocked, yielded: true, outdated: true}
	m.wake()
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

// explore looks for lanes that are not in memory. The sweep and the log take turns.
func (m *Machine) explore(now time.Time) (Step, bool) {
	d := &m.disk
	switch {
	case d.sweeping && (d.yielded || !m.unread):
		d.yielded = false
		return Step{Kind: SweepOn, After: d.after, sweep: d.sweep}, true
	case !d.later.IsZero() && !d.later.After(now):
		return Step{Kind: LookDue, Mark: d.mark}, true
	default:
		return Step{}, false
	}
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

// forget leaves lanes to the disk when too many are in memory: those that stand, and of those that are held the ones that are
// due last.
func (m *Machine) forget() {
	if len(m.lanes) <= m.limits.Lanes+2*m.limits.Tasks {
		return
	}
	m.disk.complete, m.disk.forgot = false, true
	for id, l := range m.lanes {
		if l.head == nil && !l.looked && !l.looking && l.index < 0 {
			delete(m.lanes, id)
		}
	}
	for len(m.held) > m.limits.Lanes/2 {
		l := m.held[len(m.held)-1] // a leaf of the heap
		heap.Remove(&m.held, l.index)
		delete(m.lanes, l.id)
		m.leave(l.due)
	}
}

// leave notes that a lane that waits until due is not in memory.
func (m *Machine) leave(due time.Time) {
	d := &m.disk
	d.forgotten++
	if d.later.IsZero() || due.Before(d.later) {
		d.later = due
	}
	if !d.mark.Due.Before(due) {
		d.mark = Mark{Due: due}
	}
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

// touch has a lane looked at of which the disk has a row of that event.
func (m *Machine) touch(id Lane, seq int64) {
	l := m.lanes[id]
	switch t := m.tasks[seq]; {
	case l == nil && t != nil: // it has no key, and its answer is on disk and not settled
		t.acted = true
		return
	case l == nil:
		l = m.add(id)
		l.disk = true
	}
	if l.head == nil && !l.looking {
		m.look(l)
	}
}

// Swept takes the answer to a SweepOn: the oldest row of each of the next lanes, in their order, and whether these are the last.
func (m *Machine) Swept(step Step, rows []Row, last bool) {
	d := &m.disk
	if !d.sweeping || d.sweep != step.sweep {
		return // it began again
	}
	for _, r := range rows {
		d.after = r.Lane
		switch {
		case m.early(r):
			d.forgot = true
		case m.lanes[r.Lane] != nil || m.tasks[r.Seq] != nil:
			m.Acted(r.Lane, r.Seq)
		case r.Runs(m.now):
			m.touch(r.Lane, r.Seq)
		case r.State == Retry && len(m.held) >= m.limits.Lanes:
			d.forgot = true
			m.leave(sooner(r.Due, m.now, r.Pause))
		default:
			l := m.add(r.Lane)
			l.disk = true
			if r.State == Retry {
				m.hold(l, r.Due, r.Pause)
			}
		}
	}
	if last {
		d.sweeping, d.complete = false, !d.forgot && !d.another
		if d.another {
			m.Sweep()
		}
	}
}

// FoundDue takes the answer to a LookDue: the next retrying rows, and whether these are the last.
func (m *Machine) FoundDue(rows []Row, last bool, now time.Time) {
	m.hear(now)
	d := &m.disk
	for _, r := range rows {
		if r.Due.After(now) {
			d.later = r.Due
			return
		}
		d.mark = Mark{r.Due, r.Lane.Key, r.Seq}
		if m.lanes[r.Lane] == nil && d.forgotten > 0 {
			d.forgotten--
		}
		m.touch(r.Lane, r.Seq)
	}
	if last {
		d.later, d.forgotten = time.Time{}, 0
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
