package sqlite

import (
	"slices"
	"sync/atomic"

	"github.com/troupebus/troupe/bus/journal"
)

// committed runs in the writer's goroutine after every commit.
func (j *Journal) committed(c *commit) {
	j.unflushed = false
	j.written()
	if c.delayed {
		poke(j.delayedWake)
	}
	if len(c.appended) > 0 {
		j.recent.add(c.appended)
		j.wake(c.appended)
	}
	j.sync.committed(c.head(), c.items)
}

// wake tells the readers of new events.
func (j *Journal) wake(appended []*journal.Event) {
	if gap := j.tail.append(appended); gap { // before a cursor may pass what is in it
		j.wakeAll(j.tail.newest())
	}
	f := j.follow.Load()
	for _, e := range appended {
		for _, r := range f.byType[e.Type] {
			r.want.Store(e.Seq)
			r.poke()
		}
		for _, r := range f.except {
			if r.match.wants(e.Type) {
				r.want.Store(e.Seq)
				r.poke()
			}
		}
	}
}

// durable runs in the syncer's goroutine: the outside may have what is on disk.
func (j *Journal) durable(head int64) {
	was := j.tail.bound(true)
	j.tail.madeDurable(head)
	for _, r := range j.follow.Load().durable {
		if r.want.Load() > was {
			r.poke()
		}
	}
	if f := j.told.Load(); f != nil { // a reaction that emits nothing is news for it
		f.poke()
	}
}

// wakeAll has every reader look as far as head: another connection wrote, and nobody knows what.
func (j *Journal) wakeAll(head int64) {
	for _, r := range j.follow.Load().all {
		r.want.Store(head)
		r.poke()
	}
}

// poke wakes who waits on c, which has capacity 1, now or when it next looks.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// reader is whoever follows the log: the writer notes the newest event that it wants, and wakes it.
type reader struct {
	match *match
	want  atomic.Int64
	wake  chan struct{} // capacity 1
}

func newReader(m *match) reader { return reader{match: m, wake: make(chan struct{}, 1)} }

func (r *reader) poke() { poke(r.wake) }

// addReader makes the writer wake r from now on. It is told to look as far as the head as it is after that. j.mu is held.
func (j *Journal) addReader(r *reader) {
	j.follow.Store(j.follow.Load().with(r))
	head := j.tail.newest()
	for was := r.want.Load(); was < head && !r.want.CompareAndSwap(was, head); was = r.want.Load() {
		continue // a commit in between noted a newer one, or an older
	}
	r.poke()
}

func (j *Journal) removeReader(r *reader) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.follow.Store(j.follow.Load().without(r))
}

// followers are the readers by the event types that they want. It is replaced, never changed.
type followers struct {
	all     []*reader
	byType  map[string][]*reader
	except  []*reader
	durable []*reader // of both, those that wait for the disk
}

func newFollowers(all []*reader) *followers {
	f := &followers{all: all, byType: map[string][]*reader{}}
	for _, r := range all {
		if r.match.durable {
			f.durable = append(f.durable, r)
		}
		if r.match.except {
			f.except = append(f.except, r)
			continue
		}
		for t := range r.match.types {
			f.byType[t] = append(f.byType[t], r)
		}
	}
	return f
}

func (f *followers) with(r *reader) *followers {
	return newFollowers(append(slices.Clip(f.all), r))
}

func (f *followers) without(r *reader) *followers {
	return newFollowers(slices.DeleteFunc(slices.Clone(f.all), func(x *reader) bool { return x == r }))
}
