package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"time"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/shop/httpapi"
	"github.com/troupebus/troupe/internal/shop/sim"
	"github.com/troupebus/troupe/transports/sqlite"
)

// settings are the shop's own settings, for the simulated gateway and carrier.
type settings struct {
	Seed    uint64        `setting:"seed" default:"1" value:"SEED" help:"seed for the failures of the simulated gateway and carrier"`
	Latency time.Duration `setting:"latency" default:"40ms" help:"average time of a call to the gateway or the carrier"`
}

// parallel is the number of concurrent calls to the gateway, and to the carrier.
const parallel = 16

// shop is the program: five modules, and the simulated world that two of the modules call.
type shop struct {
	settings settings
	options  *sim.Options // options of the world, for commands with their own
	parallel int          // concurrent calls, each to the gateway and to the carrier
	world    *sim.World   // nil while no command runs
}

// doors are the entry points of the shop for routes and commands.
type doors struct {
	orders *handlers.Orders
	stock  *handlers.Stock
}

func newShop() *shop { return &shop{parallel: parallel} }

// open opens the simulated world. The world is only in memory where the modules that call it run elsewhere.
func (s *shop) open(ctx context.Context, d *troupe.Deployable) (func() error, error) {
	path := ""
	if asksWorld(d.Modules) {
		path = worldPath(d.Journal.Path())
	}
	if err := checkWorld(ctx, d.Journal.Reader(), path); err != nil {
		return nil, err
	}
	options := s.usual()
	if s.options != nil {
		options = *s.options
	}
	var err error
	if s.world, err = sim.Open(path, options); err != nil {
		return nil, fmt.Errorf("open the simulated gateway and carrier: %w", err)
	}
	return s.world.Close, nil
}

// usual returns options of a world in which most calls succeed.
func (s *shop) usual() sim.Options {
	return sim.Options{
		Seed: s.settings.Seed, Latency: s.settings.Latency, Silence: 2 * time.Second,
		DeclineRate: 0.04, UndeliverableRate: 0.02,
		TransientRate: 0.04, TimeoutRate: 0.002, LostAnswerRate: 0.01,
	}
}

// wire wires all modules on b.
func (s *shop) wire(b *bus.Bus) doors {
	d := doors{handlers.Order(b), handlers.Inventory(b)}
	handlers.Payment(b, s.world, s.parallel)
	handlers.Shipping(b, s.world, s.parallel)
	handlers.Notification(b)
	return d
}

// routes serves the shop over HTTP.
func (s *shop) routes(mux *http.ServeMux, open doors, d *troupe.Deployable) {
	api, err := httpapi.New(httpapi.Config{
		Orders: open.orders, Stock: open.stock, Front: d, Logger: d.Logger,
	})
	if err != nil {
		panic(err) // a field is missing above
	}
	mux.Handle("/", api)
}

// checkWorld refuses an empty journal beside a world with acts for another journal: the books could never agree.
func checkWorld(ctx context.Context, r *sqlite.Reader, path string) error {
	if _, err := os.Stat(path); path == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	ledger, err := sim.ReadLedger(path)
	if err != nil || len(ledger.Orders) == 0 {
		return err
	}
	empty := true
	err = r.Events(ctx, sqlite.EventFilter{Limit: 1}, func(*journal.Event) error {
		empty = false
		return nil
	})
	if err == nil && empty {
		return fmt.Errorf("%s has acts of the gateway and the carrier for another journal: remove the file, or name another --journal", path)
	}
	return err
}
