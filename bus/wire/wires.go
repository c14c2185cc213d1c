package wire

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// Wires are the relays and ingests of a bus with a transport.
type Wires struct {
	Logger  *slog.Logger
	Relays  []*Relay
	Ingests []*Ingest
	Claim   func(context.Context) error // claims that this process is the sender; nil when Subscribe does so
}

// Run starts all relays and ingests. Ingests stop when ctx ends, relays when work ends. The function end stops
// everything and waits. Call end after the last reaction: relays run as long as reactions do. replaced gets an
// ErrReplaced when another process has taken over: then the bus must stop.
func (w *Wires) Run(ctx, work context.Context) (replaced <-chan error, end func()) {
	var running sync.WaitGroup
	reading, stopReading := context.WithCancel(ctx)
	fatal := make(chan error, len(w.Ingests)+len(w.Relays)+1)
	start := func(ctx context.Context, run func(context.Context) error) {
		running.Go(func() {
			err := run(ctx)
			if errors.Is(err, ErrReplaced) {
				stopReading()
				fatal <- err
			} else if err != nil && !errors.Is(err, context.Canceled) {
				w.Logger.LogAttrs(ctx, slog.LevelError, "a relay or ingest stopped unexpectedly", slog.Any("error", err))
			}
		})
	}
	sending, stop := context.WithCancel(work)
	for _, i := range w.Ingests {
		start(reading, i.Run)
	}
	for _, r := range w.Relays {
		start(sending, r.Run)
	}
	if w.Claim != nil {
		start(reading, w.Claim)
	}
	return fatal, func() {
		stopReading()
		stop()
		running.Wait()
	}
}

// identifyFor limits the wait for the identity of the backend at the start.
const identifyFor = 3 * time.Second

// backendOf returns the name of the backend of t for the journal, with the backend's identity when known.
func backendOf(ctx context.Context, t Transport) string {
	f := t.Features()
	if f.Backend == "" || f.Identity == nil {
		return f.Backend
	}
	ctx, cancel := context.WithTimeout(ctx, identifyFor)
	defer cancel()
	if id := f.Identity(ctx); id != "" {
		return f.Backend + journal.IdentityMark + id
	}
	return f.Backend
}
