package dispatch

import (
	"container/heap"
	"time"
)

// disk is the machine's knowledge of the rows that are not in memory.
type disk struct {
	complete  bool
	sweeping  bool
	sweep     int       // number of the sweep
	another   bool      // another sweep follows
	after     Lane      // position of the sweep
	outdated  bool      // the sweep began after the newest ReadLog
	yielded   bool      // the log was read since the sweep's last step
	forgot    bool      // lanes were left to the disk since the sweep began
	forgotten int       // lanes that are due later and not in memory
	later     time.Time // the first due time of such a lane, or zero
	mark      Mark      // no such lane is before mark
	again     int64     // when the log was read up to here, sweep all lanes again; 0 for never
	blocked   int
}

// early reports whether r must wait until the log was read up to r. If so, a later sweep finds r again. Before that,
// older events of the key may have no row, since the process that was to handle these events ended.
func (m *Machine) early(r Row) bool {
	if r.Lane.Key == "" || r.Seq <= m.pos {
		return false
	}
	m.disk.again = max(m.disk.again, r.Seq)
	return true
}

// Sweep starts a look at all lanes with rows on disk, from the first lane. During a sweep, another sweep follows.
func (m *Machine) Sweep() {
	if m.disk.sweeping {
		m.disk.another, m.disk.outdated = true, true
		return
	}
	m.disk = disk{sweeping: true, sweep: m.disk.sweep + 1, blocked: m.disk.blocked, yielded: true, outdated: true}
	m.wake()
}

// explore returns the next step that finds lanes that are not in memory. The sweep and the log take turns.
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

// forget leaves lanes to the disk when too many lanes are in memory: lanes that wait for an act, and the held lanes
// that are due last.
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

// leave notes that a lane which is due later is not in memory.
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

// touch looks at a lane that has a row for the event seq on disk.
func (m *Machine) touch(id Lane, seq int64) {
	l := m.lanes[id]
	switch t := m.tasks[seq]; {
	case l == nil && t != nil: // without a key, and its answer on disk is not settled yet
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

// Swept takes the result of a SweepOn: the oldest row of each of the next lanes, in order, and whether these lanes are
// the last.
func (m *Machine) Swept(step Step, rows []Row, last bool) {
	d := &m.disk
	if !d.sweeping || d.sweep != step.sweep {
		return // another sweep has begun
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

// FoundDue takes the result of a LookDue: the next retrying rows, and whether these rows are the last.
func (m *Machine) FoundDue(rows []Row, last bool, now time.Time) {
	m.setTime(now)
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
