package wake

import (
	"slices"
	"sync/atomic"

	"github.com/troupebus/troupe/bus/journal"
)

// Follower follows the log, such as a subscription. After a commit, the writer stores the newest wanted seq, and wakes
// the follower.
type Follower struct {
	Match *Match
	Want  atomic.Int64  // seq of the newest wanted event
	Wake  chan struct{} // capacity 1
}

// NewFollower returns a follower of the events of m.
func NewFollower(m *Match) Follower { return Follower{Match: m, Wake: make(chan struct{}, 1)} }

// Poke wakes r.
func (r *Follower) Poke() { Poke(r.Wake) }

// LookTo wakes r to read up to head, or further if a commit has noted a newer event meanwhile.
func (r *Follower) LookTo(head int64) {
	for was := r.Want.Load(); was < head && !r.Want.CompareAndSwap(was, head); was = r.Want.Load() {
		continue // a commit in between noted another event
	}
	r.Poke()
}

// Poke wakes the goroutine that receives from c, now or at the next receive. c has capacity 1.
func Poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Followers are all followers, by wanted event types. The value never changes: With and Without return a copy.
type Followers struct {
	all     []*Follower
	byType  map[string][]*Follower
	except  []*Follower
	durable []*Follower // of all, the followers of durable events
}

// NewFollowers returns the set of all.
func NewFollowers(all []*Follower) *Followers {
	f := &Followers{all: all, byType: map[string][]*Follower{}}
	for _, r := range all {
		if r.Match.Durable {
			f.durable = append(f.durable, r)
		}
		if r.Match.Except {
			f.except = append(f.except, r)
			continue
		}
		for t := range r.Match.Types {
			f.byType[t] = append(f.byType[t], r)
		}
	}
	return f
}

// Appended wakes the followers of events, which were just committed.
func (f *Followers) Appended(events []*journal.Event) {
	for _, e := range events {
		for _, r := range f.byType[e.Type] {
			r.Want.Store(e.Seq)
			r.Poke()
		}
		for _, r := range f.except {
			if r.Match.Wants(e.Type) {
				r.Want.Store(e.Seq)
				r.Poke()
			}
		}
	}
}

// MadeDurable wakes the followers of durable events that want an event after seq. Events up to seq were durable before.
func (f *Followers) MadeDurable(seq int64) {
	for _, r := range f.durable {
		if r.Want.Load() > seq {
			r.Poke()
		}
	}
}

// LookTo wakes every follower to read up to head.
func (f *Followers) LookTo(head int64) {
	for _, r := range f.all {
		r.Want.Store(head)
		r.Poke()
	}
}

// PokeAll wakes every follower.
func (f *Followers) PokeAll() {
	for _, r := range f.all {
		r.Poke()
	}
}

// With returns f and r.
func (f *Followers) With(r *Follower) *Followers {
	return NewFollowers(append(slices.Clip(f.all), r))
}

// Without returns f without r.
func (f *Followers) Without(r *Follower) *Followers {
	return NewFollowers(slices.DeleteFunc(slices.Clone(f.all), func(x *Follower) bool { return x == r }))
}
