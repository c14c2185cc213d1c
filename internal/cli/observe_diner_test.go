package cli_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/bustest"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire/wiretest"
	"github.com/troupebus/troupe/internal/cli"
	"github.com/troupebus/troupe/transports/sqlite"
	"github.com/troupebus/troupe/transports/sqlite/sqlitetest"
)

// A diner, in which everything happens that can become of an event. The waiter is one deployable, the cook another.
type (
	dinerOrdered  struct{ Table, Dish string }
	dinerCooked   struct{ Table, Dish string }
	dinerReminded struct{ Table string }
)

func (dinerOrdered) EventType() string   { return "waiter.ordered" }
func (e dinerOrdered) EventKey() string  { return e.Table }
func (dinerCooked) EventType() string    { return "cook.cooked" }
func (e dinerCooked) EventKey() string   { return e.Table }
func (dinerReminded) EventType() string  { return "cook.reminded" }
func (e dinerReminded) EventKey() string { return e.Table }

// diner is what a test talks to: the module that customers order from.
type diner struct{ waiter *bus.Module }

// dinerShape is a diner in one shape: one process, or two deployables with an observer.
type dinerShape struct {
	*bustest.App[diner]
	paths    map[string]string // of the journals, by deployable
	broker   *wiretest.Broker  // nil in one process
	dir      string
	repaired atomic.Bool // what was spoiled, too hot or too dear is not any more
	renewed  atomic.Bool // the program is the next version: one subscription is new, one is gone
	ob       *cli.Watching
	stop     func() // the observer
}

// wire is the diner's wiring.
func (d *dinerShape) wire(b *bus.Bus, _ *bustest.World) diner {
	waiter := b.Module("waiter").Emits(dinerOrdered{})
	cook := b.Module("cook")
	bus.On(cook, "cook", func(_ context.Context, e dinerOrdered) (bus.Events, error) {
		if e.Dish == "spoiled" && !d.repaired.Load() {
			return nil, bus.Dead(errors.New("it smells"))
		}
		return bus.Emit(dinerCooked(e), bus.After(time.Hour, dinerReminded{e.Table}), bus.After(90*time.Minute, dinerReminded{e.Table})), nil
	}).Emits(dinerCooked{}, dinerReminded{}).ParkKey()
	bus.On(cook, "clean", func(context.Context, dinerReminded) (bus.Events, error) { return nil, nil })
	bus.On(cook, "praise", func(context.Context, dinerOrdered) (bus.Events, error) { return nil, nil }).
		When(func(e dinerOrdered) bool { return e.Dish == "special" })
	bus.On(waiter, "serve", func(_ context.Context, e dinerCooked) (bus.Events, error) {
		if e.Dish == "hot" && !d.repaired.Load() {
			return nil, bus.RetryAfter(10*time.Minute, errors.New("too hot"))
		}
		return nil, nil
	})
	bus.On(waiter, "bill", func(_ context.Context, e dinerCooked) (bus.Events, error) {
		switch {
		case e.Dish == "free":
			return nil, bus.Drop("on the house")
		case e.Dish == "dear" && !d.repaired.Load():
			return nil, bus.RetryAfter(time.Second, errors.New("the guest cannot pay"))
		}
		return nil, nil
	}).Retry(bus.Retry{Attempts: 2})
	if d.renewed.Load() {
		bus.On(waiter, "thank", func(context.Context, dinerCooked) (bus.Events, error) { return nil, nil })
	} else {
		bus.On(waiter, "smile", func(_ context.Context, e dinerCooked) (bus.Events, error) {
			if e.Dish == "sour" && !d.repaired.Load() {
				return nil, bus.RetryAfter(1000*time.Hour, errors.New("not amused"))
			}
			return nil, nil
		})
	}
	return diner{waiter}
}

// runDiner runs story on a diner in one process, or with an observer of two deployables.
func runDiner(t *testing.T, apart bool, story func(d *dinerShape)) {
	t.Helper()
	d := &dinerShape{paths: map[string]string{}, dir: t.TempDir()}
	sys := bustest.System[diner]{
		Open: func(ctx context.Context, path string) (journal.Store, error) {
			name := filepath.Base(path)
			d.paths[name[:len(name)-len(".db")]] = path
			return sqlitetest.Open(ctx, path)
		},
		Wire: d.wire, Join: func(at func(string) diner) diner { return at("waiter") },
		Config: bus.Config{Retry: bus.Retry{Attempts: 50, Jitter: -1}},
	}
	if apart {
		sys.Deployables = [][]string{{"waiter"}, {"cook"}}
		sys.Transport = func(group string) (bus.Transport, error) {
			if d.broker == nil { // it must be made in the bubble
				d.broker = wiretest.NewBroker()
			}
			return d.broker.Transport(group), nil
		}
	}
	bustest.Run(t, sys, func(app *bustest.App[diner]) {
		d.App = app
		app.Expect("cook/cook", "waiter/bill", "bus/ingest", "bus/unknown")
		if apart {
			d.observe("observer.db")
			defer func() { d.stop() }()
		}
		story(d)
	})
}

// observe starts an observer on the journal of that name, as the program that is current has it.
func (d *dinerShape) observe(name string) {
	d.T().Helper()
	b := bus.New(nil, bus.Config{})
	d.wire(b, nil)
	connect := func(group string, _ *slog.Logger) (bus.Transport, error) { return d.broker.Transport(group), nil }
	ob, err := cli.ObserveInto(d.Context(), b.Wiring(), filepath.Join(d.dir, name), connect,
		sqlite.Config{Synchronous: "off", ForeignCheck: 10 * 365 * 24 * time.Hour, SlowWork: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		d.T().Fatal(err)
	}
	ctx, cancel := context.WithCancel(d.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); ob.Run(ctx) }()
	d.ob = ob
	d.stop = func() {
		cancel()
		<-ended
		if err := ob.Close(); err != nil {
			d.T().Error(err)
		}
	}
}

// anew looks with an observer that has known nothing until now.
func (d *dinerShape) anew(name string, look func()) {
	if d.broker == nil {
		d.rest(0)
		return
	}
	ob, stop := d.ob, d.stop
	d.observe(name)
	d.rest(0)
	look()
	d.stop()
	d.ob, d.stop = ob, stop
}

// renew starts the system, and its observer, with the next version of the program, or with the first one again.
func (d *dinerShape) renew(next bool) {
	d.T().Helper()
	if d.renewed.Store(next); next { // as an older version did, which started without a subscription that had open work
		cli.MustChange(d.T(), d.owner("waiter"), `
INSERT INTO records (seq, subscription) SELECT seq, subscription FROM pending WHERE subscription = (SELECT id FROM subscriptions WHERE name = 'waiter/smile')
AND EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name = 'records_new');
UPDATE subscriptions SET retired_at = unixepoch() * 1000000 WHERE name = 'waiter/smile'`)
	}
	d.Restart()
	if d.broker != nil {
		d.stop()
		d.observe("observer.db")
	}
	d.rest(0)
}

// path is that of the journal to look into: the only one, or the observer's.
func (d *dinerShape) path() string {
	if d.broker == nil {
		return d.paths["journal"]
	}
	return d.ob.Journal.Path()
}

// owner is the path of the journal on which a module runs.
func (d *dinerShape) owner(module string) string {
	if d.broker == nil {
		return d.paths["journal"]
	}
	return d.paths[module]
}

// rest lets time pass, and what happens arrive everywhere.
func (d *dinerShape) rest(t time.Duration) { d.Advance(t + time.Second) }

// away does something while no deployable can tell of it.
func (d *dinerShape) away(do func()) {
	if d.broker != nil {
		d.broker.Down(true)
	}
	do()
	if d.broker != nil {
		d.broker.Down(false)
	}
	d.rest(20 * time.Second) // they try again more and more seldom
}

func (d *dinerShape) order(table string, dishes ...string) {
	d.T().Helper()
	for _, dish := range dishes {
		d.Must("a guest orders", func(ctx context.Context, s diner) error {
			_, err := s.waiter.Publish(bus.Correlate(ctx, "flow of "+table), dinerOrdered{table, dish})
			return err
		})
		d.rest(0)
	}
}
