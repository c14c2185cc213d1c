package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

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
	orders  int
	seed    uint64
	journal string
}

func newDemoCmd(o *options) *cobra.Command {
	var c demoConfig
	cmd := &cobra.Command{
		Use:   "demo",
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
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), o, c) },
	}
	cmd.Flags().IntVar(&c.orders, "orders", 300, "how many orders of the seed's plan to have placed at the end")
	cmd.Flags().Uint64Var(&c.seed, "seed", 1, "the plan: who orders what, and what becomes of it")
	cmd.Flags().StringVar(&c.journal, "journal", "demo.db", "the journal's file; it is created, or gone on with")
	return cmd
}

func runDemo(ctx context.Context, o *options, c demoConfig) error {
	if c.orders < 0 {
		return usageErrorf("demo: --orders is %d: want 0 or more", c.orders)
	}
	d := newDemo(c)
	r := shopRun{
		options: o, path: c.journal,
		config: shopConfig{journal: c.journal, world: d.world(), parallel: demoParallel, retry: bus.Retry{First: demoRetry}},
		work:   d.work, done: d.done,
	}
	rep, err := r.do(ctx)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return rep.show(o)
}
