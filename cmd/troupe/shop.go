package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/shop/sim"
	"github.com/troupebus/troupe/transports"
	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/move"
)

// shopConfig says what the shop runs on.
type shopConfig struct {
	journal     string      // path
	synchronous string      // as sqlite.Config has it
	adopt       bool        // the journal of another program, too
	world       sim.Options // how the simulated gateway and carrier behave
	parallel    int         // calls to each of them at a time
	retry       bus.Retry
	logger      *slog.Logger

	name      string            // of the deployable
	modules   []string          // that run here; nil for all
	transport transports.Config // to the others; its group is made of the name
}

// shop is the whole program behind its commands: the modules on one journal, with the simulated outside world.
type shop struct {
	bus       *bus.Bus
	journal   *sqlite.Journal
	transport bus.Transport // nil where there is none
	world     *sim.World
	orders    *handlers.Orders
	stock     *handlers.Stock
}

// openShop opens the journal, the transport and the world beside them, and wires the modules. Whoever opens the shop closes
// it.
func openShop(ctx context.Context, c shopConfig) (*shop, error) {
	j, err := sqlite.Open(ctx, c.journal, sqlite.Config{
		Synchronous: c.synchronous, Logger: c.logger, Program: shopProgram(), Adopt: c.adopt,
	})
	if errors.Is(err, sqlite.ErrOtherProgram) {
		return nil, fmt.Errorf("%w; '%s --adopt' makes it one of %s for good", err, typed("run"), programName)
	}
	if err != nil {
		return nil, err
	}
	s := &shop{journal: j}
	if s.transport, err = transports.Open(c.transportOf(j)); err != nil {
		return nil, errors.Join(fmt.Errorf("the transport to the other deployables: %w", err), s.close())
	}
	world := "" // in memory, for nobody, where those who would ask it run elsewhere
	if asksWorld(c.modules) {
		world = worldPath(j.Path())
	}
	if s.world, err = sim.Open(world, c.world); err != nil {
		return nil, errors.Join(fmt.Errorf("the simulated gateway and carrier: %w", err), s.close())
	}
	s.bus = bus.New(j, bus.Config{Logger: c.logger, Retry: c.retry, Modules: c.modules, Transport: s.transport})
	s.orders, s.stock = wire(s.bus, s.world, c.parallel)
	return s, nil
}

// wire puts all modules on b, and returns the doors of those that have one.
func wire(b *bus.Bus, world *sim.World, parallel int) (*handlers.Orders, *handlers.Stock) {
	orders, stock := handlers.Order(b), handlers.Inventory(b)
	handlers.Payment(b, world, parallel)
	handlers.Shipping(b, world, parallel)
	handlers.Notification(b)
	return orders, stock
}

// programName is the name that the shop's journals have.
const programName = "troupe"

// shopProgram is what a journal of the shop keeps of its program.
func shopProgram() *journal.Program { return shopWiring().Program(programName, version()) }

// moduleNames are those of all modules: whatever emits something, or reacts to it.
func moduleNames() []string {
	w := shopWiring()
	var names []string
	for _, e := range w.Events {
		names = append(names, e.Emitter)
	}
	for _, s := range w.Subscriptions {
		names = append(names, moduleOf(s.Name))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// transportOf is the transport of the shop on j. A journal that is made anew takes in everything anew: the place of the old one
// in the topics is not its own.
func (c *shopConfig) transportOf(j *sqlite.Journal) transports.Config {
	t := c.transport
	t.Group = fmt.Sprintf("%s-%.8s", c.name, j.ID())
	t.Logger = c.logger
	return t
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
		return move.Refusal(err)
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

// close gives everything back: the transport before the journal, which it may still be asked to read and write.
func (s *shop) close() error {
	var errs []error
	if s.transport != nil {
		errs = append(errs, s.transport.Close())
	}
	errs = append(errs, s.journal.Close())
	if s.world != nil {
		errs = append(errs, s.world.Close())
	}
	return errors.Join(errs...)
}
