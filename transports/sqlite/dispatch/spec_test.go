package dispatch

// The specification. It knows the log, what is on disk, what is handed out, and which acts the owner has heard of; of
// the machine it knows whether its driver sleeps, and until when.

// checkHand holds when an event is handed out: it is open and due, it is not handed out already, and of its key
// nothing is that is older and open. Nobody can know of what people did that was not heard of yet.
func (w *world) checkHand(seq int64) {
	e := w.events[seq]
	if e.running || e.final() || e.answer == "retrying" && e.due > w.now && !w.back {
		w.fail("event %d is handed out, and it is running %t, %q, due at %d", seq, e.running, e.answer, e.due)
	}
	for _, o := range w.older(seq) {
		if older := w.events[o]; older.running || w.mayRun(o) && older.unheard == 0 {
			w.fail("event %d is handed out before %d of its key", seq, o)
		}
	}
}

// checkRest holds at every instant: no more is handed out than may be, memory is within its limits, and while the
// driver sleeps, nothing stands that could run, and it wakes up in time for the first retry.
func (w *world) checkRest() {
	if w.m == nil {
		return
	}
	if len(w.flights) > w.c.limits.Parallel {
		w.fail("%d are handed out at once", len(w.flights))
	}
	if a, l := w.m.admits, w.m.loads; a.bytes > w.c.limits.Bytes || l.bytes > w.c.limits.Bytes || a.tasks > w.c.limits.Tasks || l.tasks > w.c.limits.Tasks {
		w.fail("%d and %d events are in memory", a.tasks, l.tasks)
	}
	if !w.asleep || w.awake || len(w.acts) > 0 || w.unsettled() || w.due() ||
		len(w.flights) == w.c.limits.Parallel || w.full() {
		return
	}
	for i := range w.log {
		seq := int64(i + 1)
		e := w.events[seq]
		if !w.next(seq) || w.busy(seq) {
			continue
		}
		if e.answer == "retrying" && e.due > w.now {
			if w.until.IsZero() || w.until.After(at(e.due)) {
				w.fail("event %d is due at %d, and the driver sleeps until %v", seq, e.due, w.until.Unix())
			}
		} else {
			w.fail("event %d could run, and stands", seq)
		}
	}
}

// full reports whether memory is used up by what runs, or waits for a moment.
func (w *world) full() bool {
	l := w.c.limits
	return (!w.m.admits.room(l) || !w.m.loads.room(l)) && (len(w.flights) > 0 || !w.until.IsZero())
}

// next reports whether seq is the oldest of its key that is open.
func (w *world) next(seq int64) bool {
	for _, o := range w.older(seq) {
		if w.mayRun(o) {
			return false
		}
	}
	return !w.events[seq].final()
}

// mayRun reports whether seq is open, or parks its key.
func (w *world) mayRun(seq int64) bool {
	e := w.events[seq]
	return !e.final() || e.answer == "dead" && w.c.park && w.key(seq) != ""
}

func (w *world) older(seq int64) (seqs []int64) {
	for o := int64(1); o < seq && w.key(seq) != ""; o++ {
		if w.key(o) == w.key(seq) {
			seqs = append(seqs, o)
		}
	}
	return seqs
}

// due reports whether the driver's sleep is over.
func (w *world) due() bool { return !w.until.IsZero() && !w.until.After(at(w.now)) }

func (w *world) unsettled() bool {
	for _, e := range w.events {
		if e.recorded {
			return true
		}
	}
	return false
}

// busy reports whether an event of the key of seq runs, or waits for a moment because the store refused its answer.
func (w *world) busy(seq int64) bool {
	for i, key := range w.log {
		o := int64(i + 1)
		if o != seq && (key == "" || key != w.key(seq)) {
			continue
		}
		if t := w.m.tasks[o]; w.events[o].running || t != nil && t.state == refused && !w.until.IsZero() && !t.due.Before(w.until) {
			return true
		}
	}
	return false
}
