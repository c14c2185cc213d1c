package sqlite

import (
	"context"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/dispatch"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// Follow calls fn with the events after the seq after, in order, as they become durable, until ctx ends or fn returns
// an error, which Follow returns. Without types, fn gets all events; a negative after means from now on. Follow stores
// no position and acknowledges nothing: use it for display and wake-ups, not for work.
func (j *Journal) Follow(ctx context.Context, after int64, fn func(*journal.Event) error, types ...string) error {
	m := wake.NewMatch(types, len(types) == 0)
	m.Durable = true
	r := wake.NewFollower(m)
	if after < 0 {
		after = j.tail.Bound(true)
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
		if err := ctx.Err(); err != nil { // also if there are always more events
			return err
		}
		events, next, err := j.read(ctx, after, m, dispatch.Admitted)
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
		case <-r.Wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-j.ctx.Done():
			return journal.ErrClosed
		}
	}
}
