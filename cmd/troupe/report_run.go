package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// progressEvery is the time between two updates of the progress in a terminal.
const progressEvery = 100 * time.Millisecond

// place is the shop in which a run places its orders.
type place struct {
	doors
	bus *bus.Bus
}

// shopRun is a run of the shop that ends by itself, with a report.
type shopRun struct {
	call *troupe.Call[doors]
	// work places all orders and waits until no reaction is left. It returns the number of new orders.
	work func(ctx context.Context, s place) (placed int, err error)
	done func() string // progress of work as text
}

// ran has the facts about a run that the journal does not have.
type ran struct {
	placed int
	took   time.Duration
	head   int64 // seq of the newest event before the run
	before int64 // reactions before the run
}

// do runs the work and returns the report.
func (r shopRun) do(ctx context.Context) (*report, error) {
	reader := r.call.Deployable.Journal.Reader()
	stats, err := reader.Stats(ctx)
	if err != nil {
		return nil, err
	}
	did := ran{before: reactions(stats)}
	if did.head, err = newest(ctx, reader); err != nil {
		return nil, err
	}
	stop := r.progress()
	started := time.Now()
	did.placed, err = r.work(ctx, place{r.call.Doors, r.call.Bus})
	did.took = time.Since(started)
	stop()
	if err != nil && ctx.Err() != nil {
		return nil, errors.New("stopped by a signal: run the same command again to continue")
	}
	if err != nil {
		return nil, err
	}
	return newReport(ctx, r.call, did)
}

// newest returns the seq of the journal's newest event, or 0 for an empty journal.
func newest(ctx context.Context, r *sqlite.Reader) (seq int64, err error) {
	err = r.Events(ctx, sqlite.EventFilter{Newest: true, Limit: 1}, func(e *journal.Event) error {
		seq = e.Seq
		return nil
	})
	return seq, err
}

// progress shows the progress in a terminal until stop is called.
func (r shopRun) progress() (stop func()) {
	if !r.call.Terminal {
		return func() {}
	}
	end := make(chan struct{})
	var shown sync.WaitGroup
	shown.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-end:
				_, _ = fmt.Fprint(r.call.Err, "\r\x1b[K") // ignore a terminal that is gone
				return
			case <-tick.C:
				b := r.call.Deployable.Journal.Backlog()
				_, _ = fmt.Fprintf(r.call.Err, "\r\x1b[K%s, %d reactions in flight, %d to retry", r.done(), b.Ready+b.InFlight, b.Retrying)
			}
		}
	})
	return func() {
		close(end)
		shown.Wait()
	}
}
