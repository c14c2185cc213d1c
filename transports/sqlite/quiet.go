package sqlite

import (
	"context"

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
		changed := j.quiet.Wait()
		if j.Backlog().Quiet() {
			return j.writer.Wait(ctx)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// settled wakes the callers of Quiet, which check the backlog again.
func (j *Journal) settled() { j.quiet.Send() }
