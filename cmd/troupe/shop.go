package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/sim"
	"github.com/troupebus/troupe/transports/sqlite"
)

// shopConfig says what the shop runs on.
type shopConfig struct {
	journal     string      // path
	synchronous string      // as sqlite.Config has it
	world       sim.Options // how the simulated gateway and carrier behave
	parallel    int         // calls to each of them at a time
	retry       bus.Retry
	logger      *slog.Logger
}

// shop is the whole program behind its commands: the modules on one journal, with the simulated outside world.
type shop struct {
	bus     *bus.Bus
	journal *sqlite.Journal
	world   *sim.World
	orders  *handlers.Orders
	stock   *handlers.Stock
}

// openShop opens the journal and the world beside it, and wires the modules. Whoever opens the shop closes it.
func openShop(ctx context.Context, c shopConfig) (*shop, error) {
	j, err := sqlite.Open(ctx, c.journal, sqlite.Config{Synchronous: c.synchronous, Logger: c.logger})
	if err != nil {
		return nil, err
	}
	world, err := sim.Open(worldPath(j.Path()), c.world)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the simulated gateway and carrier: %w", err), j.Close())
	}
	s := &shop{bus: bus.New(j, bus.Config{Logger: c.logger, Retry: c.retry}), journal: j, world: world}
	s.orders = handlers.Order(s.bus)
	s.stock = handlers.Inventory(s.bus)
	handlers.Payment(s.bus, world, c.parallel)
	handlers.Shipping(s.bus, world, c.parallel)
	handlers.Notification(s.bus)
	return s, nil
}

// worldPath is where the simulated outside world keeps its own books: it must not forget when the shop is killed.
func worldPath(journal string) string { return journal + ".world" }

// run runs the shop while work runs, and stops it cleanly afterwards. It returns the errors of both.
func (s *shop) run(ctx context.Context, work func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.bus.Run(ctx) }()
	select {
	case <-s.bus.Running():
	case err := <-ended:
		return err
	}
	worked := make(chan error, 1)
	go func() { worked <- work(ctx) }()
	select {
	case err := <-worked:
		cancel()
		return errors.Join(err, <-ended)
	case err := <-ended: // ctx has ended, or the bus has: work must see it too
		cancel()
		return errors.Join(<-worked, err)
	}
}

// close gives the journal and the world back.
func (s *shop) close() error { return errors.Join(s.journal.Close(), s.world.Close()) }
