package front

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// newsRetry is the pause before the journal is read again after an error.
const newsRetry = time.Second

// news wakes the watchers of a flow when new events are durable. A watcher reads the events from the journal, so a slow
// client costs no memory.
type news struct {
	journal Journal
	logger  *slog.Logger

	mu       sync.Mutex
	watchers map[string]map[chan struct{}]bool // by flow
}

// head returns the seq of the newest event, or 0 for a journal without events.
func (n *news) head(ctx context.Context) (seq int64, err error) {
	err = n.journal.Reader().Events(ctx, sqlite.EventFilter{Newest: true, Limit: 1}, func(e *journal.Event) error {
		seq = e.Seq
		return nil
	})
	return seq, err
}

// run wakes watchers for the events after seq after, until ctx ends.
func (n *news) run(ctx context.Context, after int64) {
	for {
		err := n.journal.Follow(ctx, after, func(e *journal.Event) error {
			after = e.Seq
			n.wake(e.CorrelationID)
			return nil
		})
		if ctx.Err() != nil {
			return
		}
		n.logger.LogAttrs(ctx, slog.LevelError, "cannot follow the journal: waits and streams lag", slog.Any("error", err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(newsRetry):
		}
	}
}

// watch returns a channel that receives a value when flow may have a new event, until stop is called.
func (n *news) watch(flow string) (woken <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.watchers[flow] == nil {
		n.watchers[flow] = map[chan struct{}]bool{}
	}
	n.watchers[flow][c] = true
	return c, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.watchers[flow], c)
		if len(n.watchers[flow]) == 0 {
			delete(n.watchers, flow)
		}
	}
}

// wake wakes the watchers of flow.
func (n *news) wake(flow string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.watchers[flow] {
		select {
		case c <- struct{}{}:
		default: // woken already
		}
	}
}

// watching returns how many requests watch flow.
func (n *news) watching(flow string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.watchers[flow])
}
