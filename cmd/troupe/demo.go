package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/bus"
)

// Settings of the demo's shop. The first retry is soon, because the simulated gateway and carrier recover at once.
const (
	demoPlacers  = 16 // customers at a time
	demoParallel = 64 // calls at a time, each to the gateway and to the carrier
	demoLatency  = 4 * time.Millisecond
	demoSilence  = 50 * time.Millisecond
	demoRetry    = 20 * time.Millisecond
)

type demoConfig struct {
	orders  int
	seed    uint64
	latency time.Duration
}

func (s *shop) demoCommand() troupe.Command[doors] {
	var c demoConfig
	var d *demo
	return troupe.Command[doors]{
		Name:  "demo",
		Short: "Run made-up orders through the shop and audit the results",
		Long: `Run made-up orders through the shop, in this process and on one journal, and audit the results.

Some orders are short of stock, declined, undeliverable, cancelled or returned. For some orders the gateway fails, gives no
answer or loses its answer. The seed decides which. At the end, demo prints how the orders ended, how fast, two flows as
trees, and whether the books of all modules agree with each other and with the acts of the gateway and the carrier.

demo may be killed at any time, also with kill -9. The next run continues and places no order twice. More --orders add
orders, and another --seed adds different orders.`,
		Example: `  troupe demo
  troupe demo --orders 5000 --seed 7
  troupe demo --json | jq .verify`,
		Journal: "demo.db",
		Flags: func(f *flag.FlagSet) {
			f.IntVar(&c.orders, "orders", 300, "total number of orders, earlier runs included")
			f.Uint64Var(&c.seed, "seed", 1, "the plan of all orders and their fates")
			f.DurationVar(&c.latency, "latency", demoLatency, "average time of a call to the gateway or the carrier")
		},
		Check: func([]string) error {
			if c.orders < 0 {
				return fmt.Errorf("--orders is %d: want 0 or more", c.orders)
			}
			d = newDemo(c)
			s.options, s.parallel = d.world(), demoParallel
			return nil
		},
		Bus: func(c *bus.Config) { c.Retry.First, c.ExternalRetry.First = demoRetry, demoRetry },
		Run: func(ctx context.Context, call *troupe.Call[doors]) error {
			rep, err := shopRun{call: call, work: d.work, done: d.done}.do(ctx)
			if err != nil {
				return err
			}
			return rep.show(call)
		},
	}
}
