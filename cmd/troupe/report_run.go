package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// progressEvery is how often a terminal hears how far a run is.
const progressEvery = 100 * time.Millisecond

// shopRun is a run of the shop that ends by itself and is reported on.
type shopRun struct {
	*options
	path   string
	config shopConfig
	// work places orders until there are none left and all is quiet. It returns how many were new.
	work func(ctx context.Context, s *shop) (placed int, err error)
	done func() string // how far work is
}

// do opens the shop, runs it for as long as the work takes, and reports. The journal is closed when it returns.
func (r shopRun) do(ctx context.Context) (*report, error) {
	if err := checkWorld(r.path); err != nil {
		return nil, err
	}
	// Failures that are planned are retried, and told by the report: only what is not retried is worth a line.
	r.config.logger = slog.New(slog.NewTextHandler(r.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	s, err := openShop(ctx, r.config)
	if err != nil {
		return nil, err
	}
	rep, err := r.on(ctx, s)
	err = errors.Join(err, s.close())
	if err != nil && ctx.Err() != nil {
		return nil, errors.New("stopped by a signal: run the same command again to go on where it stopped")
	}
	return rep, err
}

// checkWorld refuses a new journal beside what the gateway and the carrier did for an old one: the books could never agree.
func checkWorld(path string) error {
	_, noJournal := os.Stat(path)
	_, noWorld := os.Stat(worldPath(path))
	if errors.Is(noJournal, fs.ErrNotExist) && noWorld == nil {
		return fmt.Errorf("%s holds what the gateway and the carrier did for a journal that is gone: remove it, or name another --journal", worldPath(path))
	}
	return nil
}

// ran is what a run did, as far as it is not to be read from the journal.
type ran struct {
	placed int
	took   time.Duration
	head   int64 // the newest event when it began
	before int64 // reactions before it
}

func (r shopRun) on(ctx context.Context, s *shop) (*report, error) {
	reader := s.journal.Reader()
	stats, err := reader.Stats(ctx)
	if err != nil {
		return nil, err
	}
	did := ran{before: reactions(stats)}
	if did.head, err = newest(ctx, reader); err != nil {
		return nil, err
	}
	stop := r.progress(s)
	err = s.run(ctx, func(ctx context.Context) (err error) {
		started := time.Now()
		did.placed, err = r.work(ctx, s)
		did.took = time.Since(started)
		return err
	})
	stop()
	if err != nil {
		return nil, err
	}
	return newReport(ctx, reader, r.path, did)
}

// newest is the seq of the journal's newest event, 0 where there is none.
func newest(ctx context.Context, r *sqlite.Reader) (seq int64, err error) {
	err = r.Events(ctx, sqlite.EventFilter{Newest: true, Limit: 1}, func(e *journal.Event) error {
		seq = e.Seq
		return nil
	})
	return seq, err
}

// progress tells a terminal how far the run is, until stop is called.
func (r shopRun) progress(s *shop) (stop func()) {
	if !r.isTerminal {
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
				_, _ = fmt.Fprint(r.stderr, "\r\x1b[K") // a terminal that is gone misses nothing
				return
			case <-tick.C:
				b := s.journal.Backlog()
				_, _ = fmt.Fprintf(r.stderr, "\r\x1b[K%s, %d reactions under way, %d to be retried", r.done(), b.Ready+b.InFlight, b.Retrying)
			}
		}
	})
	return func() {
		close(end)
		told.Wait()
	}
}
