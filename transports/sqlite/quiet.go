package sqlite

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/troupebus/troupe/bus/journal"
)

// Backlog implements journal.Journal.
func (j *Journal) Backlog() journal.Backlog {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b journal.Backlog
	for _, s := range j.subs {
		left := s.backlog()
		b.Ready += left.Ready
		b.InFlight += left.InFlight
		b.Retrying += left.Retrying
		b.Blocked += left.Blocked
	}
	return b
}

// Quiet implements journal.Journal.
func (j *Journal) Quiet(ctx context.Context) error {
	for {
		changed := j.quiet.wait()
		if j.Backlog().Quiet() {
			return j.sync.wait(ctx)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// settled tells those who wait for quiet that there may be less to do.
func (j *Journal) settled() { j.quiet.tell() }

// broadcast wakes everybody who waits. Telling costs one atomic load while nobody does.
type broadcast struct {
	waited atomic.Bool
	mu     sync.Mutex
	ch     chan struct{}
}

func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	b.waited.Store(true)
	return b.ch
}

func (b *broadcast) tell() {
	if !b.waited.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
	b.waited.Store(false)
}
