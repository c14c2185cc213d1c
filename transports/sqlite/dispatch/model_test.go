package dispatch

import (
	"fmt"
	"slices"
	"time"
)

// world is all that a Machine has around it: the log, the rows on disk, the handlers, the goroutine that does what
// Next asks for, and people who act from another process. Each action is one step of one of these, so that a walk
// through actions is an interleaving of them.
type world struct {
	c       config
	m       *Machine // nil while the process is down
	now     int
	log     []string // the key of each event; its seq is its index and 1
	events  map[int64]*event
	acts    []int64 // the events that people acted on, and the owner has not heard of
	flights []int64 // handed out, in that order

	asleep bool // the driver is
	awake  bool // it has been woken
	step   *Step
	answer func() // hands in what the step read or wrote; nil before that
	saw    string // that
	until  time.Time
	head   int64 // of the log when the process began
	left   budget
	back   bool   // the clock was put back
	broken string // the first rule that did not hold
}

// config is a case: what is published, and what may happen how often.
type config struct {
	keys   []string
	limits Limits
	park   bool
	page   int // rows that one step reads
	budget budget
}

type budget struct{ retries, deaths, refusals, acts, crashes, failures, steps int }

// event is what the disk has of an event for the subscription, and what runs of it.
type event struct {
	answer   string // "", done, dead, dropped, blocked, retrying
	due      int
	pause    int
	unheard  int  // acts on it
	running  bool // handed out
	recorded bool // its verdict is on disk, and not in memory
	verdict  Verdict
}

func (e *event) final() bool {
	return e.answer == "done" || e.answer == "dropped" || e.answer == "dead"
}

func newWorld(c config) *world {
	w := &world{c: c, events: map[int64]*event{}, left: c.budget, now: 100}
	w.start()
	return w
}

func at(n int) time.Time { return time.Unix(int64(n), 0) }

func (w *world) key(seq int64) string { return w.log[seq-1] }

// start begins a process on what is on disk.
func (w *world) start() {
	cursor := int64(0)
	w.acts, w.head, w.asleep, w.awake, w.until = nil, int64(len(w.log)), true, true, time.Time{}
	for _, e := range w.events {
		e.unheard = 0
	}
	w.m = New(w.c.limits, w.c.park, cursor, w.hand, func() { w.awake = true })
}

// crash loses all that is in memory.
func (w *world) crash() {
	w.m, w.step, w.answer, w.flights = nil, nil, nil, nil
	for _, e := range w.events {
		e.running, e.recorded = false, false
	}
}

func (w *world) hand(t *Task) {
	w.checkHand(t.Seq)
	w.events[t.Seq].running = true
	w.flights = append(w.flights, t.Seq)
}

// open returns the seqs of a lane that have rows, the oldest first.
func (w *world) open(id Lane) (seqs []int64) {
	for i, key := range w.log {
		seq := int64(i + 1)
		e := w.events[seq]
		parks := e.answer == "dead" && w.c.park && key != ""
		if LaneOf(key, seq) == id && (e.answer == "blocked" || e.answer == "retrying" || parks) {
			seqs = append(seqs, seq)
		}
	}
	return seqs
}

func (w *world) row(seq int64) Row {
	e := w.events[seq]
	r := Row{Lane: LaneOf(w.key(seq), seq), Seq: seq}
	switch e.answer {
	case "blocked":
		r.State = Blocked
	case "retrying":
		r.State, r.Due, r.Pause = Retry, at(e.due), time.Duration(e.pause)*time.Second
	default:
		r.State = Standing
	}
	return r
}

// drive does the next part of what the driver does: it asks, then reads or writes, then hands in the answer.
func (w *world) drive() {
	switch {
	case w.answer != nil:
		w.answer()
		w.step, w.answer, w.saw = nil, nil, ""
	case w.step != nil:
		w.perform(*w.step)
	default:
		if w.asleep {
			w.asleep, w.awake, w.until = false, false, time.Time{}
			w.m.News()
		}
		if step := w.m.Next(at(w.now)); step.Kind == Wait {
			w.asleep, w.until = true, step.Until
		} else {
			w.step = &step
		}
	}
}

// perform reads or writes what step asks for.
func (w *world) perform(step Step) {
	now := at(w.now)
	switch step.Kind {
	case Record:
		for _, t := range step.Tasks {
			w.events[t.Seq].answer = "blocked"
		}
		w.answer = func() { w.m.Recorded(step.Tasks, true) }
	case Look:
		open := w.open(step.Lane)
		if len(open) == 0 {
			w.answer, w.saw = func() { w.m.Found(step.Lane, nil, nil, now) }, "nothing"
			return
		}
		r := w.row(open[0])
		r.More = len(open) > 1
		var t *Task
		if r.Runs(now) {
			t = &Task{Seq: r.Seq, Key: w.key(r.Seq), Size: 1}
		}
		w.answer, w.saw = func() { w.m.Found(step.Lane, &r, t, now) }, fmt.Sprint(r, t != nil)
	case SweepOn:
		rows, last := w.sweep(step.After)
		w.answer, w.saw = func() { w.m.Swept(step, rows, last) }, fmt.Sprint(rows, last)
	case LookDue:
		rows, last := w.retries(step.Mark)
		w.answer, w.saw = func() { w.m.FoundDue(rows, last, now) }, fmt.Sprint(rows, last)
	case ReadLog:
		w.read(step.Room)
	}
}

func (w *world) lanes() (ids []Lane) {
	for i, key := range w.log {
		if id := LaneOf(key, int64(i+1)); len(w.open(id)) > 0 && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, compareLanes)
	return ids
}

func compareLanes(a, b Lane) int {
	if a.Key != b.Key {
		return map[bool]int{true: -1, false: 1}[a.Key < b.Key]
	}
	return int(a.Seq - b.Seq)
}

func (w *world) sweep(after Lane) (rows []Row, last bool) {
	for _, id := range w.lanes() {
		if compareLanes(id, after) > 0 && len(rows) < w.c.page {
			if e := w.events[w.open(id)[0]]; e.answer == "retrying" { // a clock that was ahead wrote it
				e.due = min(e.due, w.now+e.pause)
			}
			rows = append(rows, w.row(w.open(id)[0]))
		}
	}
	return rows, len(rows) < w.c.page
}

func (w *world) retries(mark Mark) (rows []Row, last bool) {
	var all []Row
	for i := range w.log {
		if w.events[int64(i+1)].answer == "retrying" {
			all = append(all, w.row(int64(i+1)))
		}
	}
	slices.SortFunc(all, func(a, b Row) int {
		if !a.Due.Equal(b.Due) {
			return a.Due.Compare(b.Due)
		}
		return compareLanes(Lane{a.Lane.Key, a.Seq}, Lane{b.Lane.Key, b.Seq})
	})
	for _, r := range all {
		after := r.Due.After(mark.Due) || r.Due.Equal(mark.Due) && compareLanes(Lane{r.Lane.Key, r.Seq}, Lane{mark.Key, mark.Seq}) > 0
		if after && len(rows) < w.c.page {
			rows = append(rows, r)
		}
	}
	return rows, len(rows) < w.c.page
}

func (w *world) read(room Room) {
	pos, complete := w.m.Pos(), w.m.Complete()
	next := pos
	var tasks []*Task
	for next < int64(len(w.log)) && len(tasks) < min(room.Tasks, room.Bytes) {
		next++
		e := w.events[next]
		if next <= w.head && e.answer != "" {
			continue
		}
		t := &Task{Seq: next, Key: w.key(next), Size: 1}
		t.OnDisk = !complete && t.Key != "" && len(w.open(LaneOf(t.Key, next))) > 0
		tasks = append(tasks, t)
	}
	w.answer, w.saw = func() { w.m.Admit(tasks, next, next != pos) }, fmt.Sprint(next, complete)
}

// fail notes the first rule that does not hold.
func (w *world) fail(format string, args ...any) {
	if w.broken == "" {
		w.broken = fmt.Sprintf(format, args...)
	}
}
