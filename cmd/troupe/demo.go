package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/troupebus/troupe"
	"github.com/troupebus/troupe/bus"
)

// The demo's shop. Its first retry is soon: the gateway and the carrier are simulated and recover at once.
const (
	demoPlacers  = 16 // customers at a time
	demoParallel = 64 // calls to the gateway, and to the carrier, at a time
	demoLatency  = 4 * time.Millisecond
	demoSilence  = 50 * time.Millisecond
	demoRetry    = 20 * time.Millisecond
)

type demoConfig struct {
	orders int
	seed   uint64
}

func (s *shop) demoCommand() troupe.Command[doors] {
	var c demoConfig
	var d *demo
	return troupe.Command[doors]{
		Name:  "demo",
		Short: "Run made-up orders through the shop and audit what came of them",
		Long: `Run made-up orders through the shop, in this process and on one journal, and audit what came of them.

Some orders are short of stock, declined, undeliverable, cancelled or returned, and some meet a gateway that fails, falls
silent or loses its answer. Which ones is a function of the seed. At the end: how the orders ended, how fast, two flows as
trees, and whether the books of all modules agree with each other and with what the gateway and the carrier really did.

It can be killed at any time, kill -9 included. Run again, it goes on where it stopped and places nothing twice; with more
--orders it adds orders, and with another --seed other ones.`,
		Example: `  troupe demo
  troupe demo --orders 5000 --seed 7
  troupe demo --json | jq .verify`,
		Journal: "demo.db",
		Flags: func(f *flag.FlagSet) {
			f.IntVar(&c.orders, "orders", 300, "total number of orders, earlier runs included")
			f.Uint64Var(&c.seed, "seed", 1, "the plan: who orders what, and what becomes of it")
		},
		Check: func([]string) error {
			if c.orders < 0 {
				return fmt.Errorf("--orders is %d: want 0 or more", c.orders)
			}
			d = newDemo(c)
			s.options, s.parallel = d.world(), demoParallel
			return nil
		},
		Bus: func(c *bus.Config) { c.Retry.First = demoRetry },
		Run: func(ctx context.Context, call *troupe.Call[doors]) error {
			rep, err := shopRun{call: call, work: d.work, done: d.done}.do(ctx)
			if err != nil {
				return err
			}
			return rep.show(call)
		},
	}
}
