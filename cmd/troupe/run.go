package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/internal/httpapi"
	"github.com/troupebus/troupe/internal/sim"
)

const runLong = `run serves the shop over HTTP until it is interrupted: orders are placed, watched,
cancelled and returned, stock is delivered. Payment gateway and carrier are simulated
beside the journal: they take their time, and now and then they fail, as real ones do.

A fresh journal has nothing in stock: deliver an article before you order it.

SIGINT and SIGTERM stop it cleanly: no new requests are taken, streams end, those under
way finish, then the modules stop. A kill loses nothing either: run it again, and every
order goes on where it was. There is no authentication: keep it on an address that only
those can reach who may use it.`

const runExample = `  troupe run --journal shop.db
  curl -X PUT  -H 'Content-Type: application/json' -d '{"quantity": 10}' http://127.0.0.1:8080/api/stock/TEA
  curl -X POST -H 'Content-Type: application/json' -H 'Idempotency-Key: 1' http://127.0.0.1:8080/api/orders \
    -d '{"customer_id": "ada", "lines": [{"sku": "TEA", "quantity": 1, "unit_price_cents": 250}]}'
  curl 'http://127.0.0.1:8080/api/orders/ORDER?wait=5s'
  curl -N http://127.0.0.1:8080/api/orders/ORDER/events`

// runParallel is how many calls the gateway and the carrier get at a time, each.
const runParallel = 16

// runConfig is what the flags of run say.
type runConfig struct {
	journal string
	http    string
	seed    uint64
	latency time.Duration
}

func newRunCmd(o *options) *cobra.Command {
	var c runConfig
	cmd := &cobra.Command{
		Use: "run", Short: "Serve the shop over HTTP",
		Long: runLong, Example: runExample,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.check(); err != nil {
				return err
			}
			return c.serve(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.journal, "journal", defaultJournal, "the journal's file; made where there is none")
	f.StringVar(&c.http, "http", "127.0.0.1:8080", "the address to listen on; with port 0 a free one is chosen")
	f.Uint64Var(&c.seed, "seed", 1, "which failures the simulated gateway and carrier come up with")
	f.DurationVar(&c.latency, "latency", 40*time.Millisecond, "how long they take on average")
	return cmd
}

func (c *runConfig) check() error {
	if _, _, err := net.SplitHostPort(c.http); err != nil {
		return usageErrorf("--http %s: %w\nwant host:port, such as 127.0.0.1:8080", c.http, err)
	}
	if c.latency < 0 {
		return usageErrorf("--latency %v: want 0 or more", c.latency)
	}
	return nil
}

// world is an outside in which most goes well.
func (c *runConfig) world() sim.Options {
	return sim.Options{
		Seed: c.seed, Latency: c.latency, Silence: 2 * time.Second,
		DeclineRate: 0.04, UndeliverableRate: 0.02,
		TransientRate: 0.04, TimeoutRate: 0.002, LostAnswerRate: 0.01,
	}
}

// serve runs the shop until ctx ends. Then the requests end first, the bus after them, and the journal last.
func (c *runConfig) serve(ctx context.Context, o *options) (err error) {
	l, err := listen(ctx, c.http)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }() // for the case that nobody has come to serve it
	logger := slog.New(slog.NewTextHandler(o.stderr, nil))
	s, err := openShop(ctx, shopConfig{journal: c.journal, world: c.world(), parallel: runParallel, logger: logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	api, err := httpapi.New(httpapi.Config{Orders: s.orders, Stock: s.stock, Journal: s.journal, Logger: logger})
	if err != nil {
		return err
	}
	return s.run(context.WithoutCancel(ctx), func(running context.Context) error {
		serving, stop := context.WithCancel(running)
		defer stop()
		defer context.AfterFunc(ctx, func() {
			logger.Info("stopping: requests first, then the modules, then the journal")
			stop()
		})()
		if err := announce(o, l, s.journal.Path()); err != nil {
			return err
		}
		warnOfStrangers(logger, l)
		return api.Serve(serving, l)
	})
}

// listen takes the address, and says what to do when it cannot be had.
func listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use by another program: stop it, or choose another address with --http (port 0 takes a free one)", address)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s may not be used by this user: choose a port from 1024 with --http", address)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s: %w; choose another address with --http", address, err)
	}
	return l, nil
}

// announce says where the shop is.
func announce(o *options, l net.Listener, journal string) error {
	at := listenedOn(l)
	url := "http://" + at.String()
	if at.Addr().IsUnspecified() { // everywhere, which is no place to send a browser to
		url = fmt.Sprintf("http://localhost:%d", at.Port())
	}
	if o.json {
		return o.printJSON(struct {
			URL     string `json:"url"`
			Journal string `json:"journal"`
		}{url, journal})
	}
	_, err := fmt.Fprintf(o.stdout, "The shop is open at %s\nIts journal is %s\n", url, journal)
	return err
}

// warnOfStrangers: whoever reaches the address can use the shop.
func warnOfStrangers(logger *slog.Logger, l net.Listener) {
	if at := listenedOn(l); !at.Addr().IsLoopback() {
		logger.Warn("the shop can be reached from other machines, and asks nobody who they are", slog.String("address", at.String()))
	}
}

// listenedOn is where a listener for TCP, which listen makes, really listens.
func listenedOn(l net.Listener) netip.AddrPort {
	a := l.Addr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
