package sqlite

import (
	"context"
	"slices"

	"github.com/troupebus/troupe/bus/journal"
)

// Follow calls fn with the events behind seq after, in their order, as they become durable, until ctx ends or fn
// answers with an error, which it returns. Without types it is all events; after below 0 means from now on. It keeps no
// place and acknowledges nothing: it is for showing and waking, not for working.
func (j *Journal) Follow(ctx context.Context, after int64, fn func(*journal.Event) error, types ...string) error {
	m := newMatch(types, len(types) == 0)
	m.durable = true
	r := newReader(m)
	if after < 0 {
		after = j.tail.bound(true)
	}
	j.mu.Lock()
	if j.closing {
		j.mu.Unlock()
		return journal.ErrClosed
	}
	j.addReader(&r)
	j.mu.Unlock()
	defer j.removeReader(&r)
	for {
		if err := ctx.Err(); err != nil { // also while there is always more
			return err
		}
		events, next, err := j.read(ctx, after, m, admitted)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := fn(e); err != nil {
				return err
			}
		}
		if next != after {
			after = next
			continue
		}
		select {
		case <-r.wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-j.ctx.Done():
			return journal.ErrClosed
		}
	}
}

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
