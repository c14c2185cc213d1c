package dispatch

import (
	"fmt"
	"hash/maphash"
	"time"
)

// action is one step of one of those who act: a verb, and the event that it is about.
type action struct {
	verb string
	seq  int64
}

func (a action) String() string { return fmt.Sprint(a.verb, " ", a.seq) }

// enabled are the actions that can happen next.
func (w *world) enabled() (all []action) {
	may := func(is bool, verb string, seq int64) {
		if is {
			all = append(all, action{verb, seq})
		}
	}
	may(len(w.log) < len(w.c.keys), "publish", int64(len(w.log)+1))
	if w.m == nil {
		may(true, "start", 0)
	} else {
		may(!w.asleep || w.awake || w.due(), "drive", 0)
		may(len(w.acts) > 0, "hear", 0)
		may(w.left.crashes > 0, "crash", 0)
		may(w.step != nil && w.answer == nil && w.left.failures > 0, "fail", 0)
		may(w.asleep && !w.awake && !w.until.IsZero() && w.until.After(at(w.now)), "tick", 0)
		may(w.left.steps > 0, "step back", 0)
	}
	for i := range w.log {
		seq := int64(i + 1)
		e := w.events[seq]
		may(e.running && !e.recorded, "done", seq)
		may(e.running && !e.recorded && w.left.retries > 0, "retry", seq)
		may(e.running && !e.recorded && w.left.deaths > 0, "die", seq)
		may(e.running && !e.recorded && w.left.refusals > 0, "refuse", seq)
		may(e.recorded, "settle", seq)
		may(e.answer == "dead" && w.left.acts > 0, "replay", seq)
		may(e.answer == "dead" && w.left.acts > 0, "drop", seq)
		may(e.answer == "retrying" && w.left.acts > 0, "retry now", seq)
	}
	return all
}

// do does a, and holds the world against the specification.
func (w *world) do(a action) {
	switch a.verb {
	case "publish":
		w.log = append(w.log, w.c.keys[a.seq-1])
		w.events[a.seq] = &event{}
		w.awake = true
	case "start":
		w.start()
	case "drive":
		w.drive()
	case "hear":
		seq := w.acts[0]
		w.acts = w.acts[1:]
		w.events[seq].unheard--
		w.m.Acted(LaneOf(w.key(seq), seq), seq)
	case "crash":
		w.left.crashes--
		w.crash()
	case "fail":
		w.left.failures--
		w.failStep()
	case "tick":
		w.now = int(w.until.Unix())
	case "step back":
		w.left.steps--
		w.now, w.back, w.awake = w.now-50, true, true
	default:
		w.about(a, w.events[a.seq])
	}
	w.checkRest()
}

// failStep has the step that the driver is at fail: it is tried again later.
func (w *world) failStep() {
	switch w.step.Kind {
	case Record:
		w.m.Recorded(w.step.Tasks, false)
	case Look:
		w.m.Unfound(w.step.Lane)
	}
	w.step, w.asleep, w.awake = nil, true, true
}

// about does what is about an event: its handler's, its journal's, or another process's.
func (w *world) about(a action, e *event) {
	act := func() {
		w.left.acts--
		if w.m != nil {
			e.unheard++
			w.acts = append(w.acts, a.seq)
		}
	}
	switch a.verb {
	case "done":
		e.recorded, e.answer, e.verdict = true, "done", Verdict{}
	case "retry":
		w.left.retries--
		e.recorded, e.answer, e.due, e.pause = true, "retrying", w.now+5, 5
		e.verdict = Verdict{Outcome: Retrying, Now: at(w.now), Due: at(e.due), Pause: 5 * time.Second}
	case "die":
		w.left.deaths--
		e.recorded, e.answer, e.verdict = true, "dead", Verdict{Outcome: Dead}
	case "refuse":
		w.left.refusals--
		w.land(a.seq)
		w.m.Refuse(a.seq, at(w.now), time.Second)
	case "settle":
		e.recorded = false
		w.land(a.seq)
		w.m.Settle(a.seq, e.verdict)
	case "replay":
		e.answer, e.due = "blocked", 0
		if w.key(a.seq) == "" {
			e.answer, e.due, e.pause = "retrying", w.now, 1000
		}
		act()
	case "drop":
		e.answer = "dropped"
		act()
	case "retry now":
		e.due = w.now
		act()
	}
}

// land takes seq out of what is handed out.
func (w *world) land(seq int64) {
	w.events[seq].running = false
	for i, f := range w.flights {
		if f == seq {
			w.flights = append(w.flights[:i:i], w.flights[i+1:]...)
			return
		}
	}
}

var seed = maphash.MakeSeed()

// state is a hash of all that decides what can still happen.
func (w *world) state() uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	put := func(args ...any) { _, _ = fmt.Fprintln(&h, args...) }
	put(len(w.log), w.now, w.acts, w.flights, w.asleep, w.awake, w.until.Unix(), w.head, w.left, w.back, w.answer != nil)
	if w.step != nil {
		put(w.step.Kind, w.step.Lane, w.step.After, w.m.disk.sweep-w.step.sweep, w.step.Mark, w.step.Room, seqs(w.step.Tasks), w.saw)
	}
	for i := range w.log {
		put(*w.events[int64(i+1)])
	}
	if m := w.m; m != nil {
		put(m.now.Unix(), m.pos, m.unread, m.handed, m.admits, m.loads, unnumbered(m.disk), m.wantsAdmits, m.wantsLoads, seqs(m.queue), seqs(m.refused), seqs(m.toBlock))
		for i := range w.log {
			if t := m.tasks[int64(i+1)]; t != nil {
				put(t.Seq, t.state, t.acted, t.slot != nil, t.due.Unix(), t.blocked)
			}
		}
		for _, l := range m.looks {
			put(l.id)
		}
		put(m.looking != nil)
		for _, l := range sortedLanes(m) {
			head := int64(0)
			if l.head != nil {
				head = l.head.Seq
			}
			put(l.id, head, seqs(l.waiting), l.disk, l.stale, l.looked, l.looking, l.due.Unix(), l.index)
		}
	}
	return h.Sum64()
}

func seqs(tasks []*Task) (all []int64) {
	for _, t := range tasks {
		all = append(all, t.Seq)
	}
	return all
}

// unnumbered is d without what only grows.
func unnumbered(d disk) disk {
	d.sweep = 0
	return d
}
