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

// progressEvery is how often a terminal shows how far a run is.
const progressEvery = 100 * time.Millisecond

// place is where a run places its orders.
type place struct {
	doors
	bus *bus.Bus
}

// shopRun is a run of the shop that ends by itself and is reported on.
type shopRun struct {
	call *troupe.Call[doors]
	// work places orders until there are none left and all is quiet. It returns how many were new.
	work func(ctx context.Context, s place) (placed int, err error)
	done func() string // how far work is
}

// ran is what a run did, as far as the journal does not tell.
type ran struct {
	placed int
	took   time.Duration
	head   int64 // the newest event when it began
	before int64 // reactions before it
}

// do does the work and reports.
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
		return nil, errors.New("stopped by a signal: run the same command again to go on where it stopped")
	}
	if err != nil {
		return nil, err
	}
	return newReport(ctx, r.call, did)
}

// newest returns the seq of the journal's newest event, 0 where there is none.
func newest(ctx context.Context, r *sqlite.Reader) (seq int64, err error) {
	err = r.Events(ctx, sqlite.EventFilter{Newest: true, Limit: 1}, func(e *journal.Event) error {
		seq = e.Seq
		return nil
	})
	return seq, err
}

// progress shows a terminal how far the run is, until stop is called.
func (r shopRun) progress() (stop func()) {
	if !r.call.Terminal {
		return func() {}
	}
	end := make(chan struct{})
	var told sync.WaitGroup
	told.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-end:
				_, _ = fmt.Fprint(r.call.Err, "\r\x1b[K") // a terminal that is gone misses nothing
				return
			case <-tick.C:
				b := r.call.Deployable.Journal.Backlog()
				_, _ = fmt.Fprintf(r.call.Err, "\r\x1b[K%s, %d reactions under way, %d to be retried", r.done(), b.Ready+b.InFlight, b.Retrying)
			}
		}
	})
	return func() {
		close(end)
		told.Wait()
	}
}
