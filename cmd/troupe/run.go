package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/internal/config"
	"github.com/troupebus/troupe/internal/shop/httpapi"
	"github.com/troupebus/troupe/internal/shop/sim"
	"github.com/troupebus/troupe/transports"
)

const runLong = `run serves the shop over HTTP until it is interrupted: orders are placed, watched,
cancelled and returned, stock is delivered. Payment gateway and carrier are simulated
beside the journal: they take their time, and now and then they fail, as real ones do.

A fresh journal has nothing in stock: deliver an article before you order it.

With --modules it runs some of the modules only, as one of several deployables. Each of these
has a journal of its own, and they meet over Kafka or Postgres, which need not be there when
they start, in whatever order: each goes on with what it has, and catches up. Settings may
also be in troupe.yaml and in variables: see troupe config, and troupe check for all files.

SIGINT, SIGTERM and SIGHUP stop it cleanly: no new requests are taken, streams end, those under
way finish, then the modules stop. A kill loses nothing either: run it again, and every
order goes on where it was. There is no authentication: keep it on an address that only
those can reach who may use it. Requests must be for an IP address, localhost or one of --hosts.`

const runExample = `  troupe run --journal shop.db
  curl -X PUT  -H 'Content-Type: application/json' -d '{"quantity": 10}' http://127.0.0.1:8080/api/stock/TEA
  curl -X POST -H 'Content-Type: application/json' -H 'Idempotency-Key: 1' http://127.0.0.1:8080/api/orders \
    -d '{"customer_id": "ada", "lines": [{"sku": "TEA", "quantity": 1, "unit_price_cents": 250}]}'
  curl 'http://127.0.0.1:8080/api/orders/ORDER?wait=5s'
  curl -N http://127.0.0.1:8080/api/orders/ORDER/events
  troupe run --modules order,notification --transport kafka --brokers 127.0.0.1:9092 --journal one.db
  troupe run --modules inventory,payment,shipping --transport kafka --brokers 127.0.0.1:9092 --journal two.db --http 127.0.0.1:8081`

// runParallel is how many calls the gateway and the carrier get at a time, each.
const runParallel = 16

func newRunCmd(o *options) *cobra.Command { return runCmd(o, os.Environ()) }

// runCmd is the command in an environment.
func runCmd(o *options, environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use: "run", Short: "Serve the shop, or some of its modules, over HTTP",
		Long: runLong, Example: runExample,
		Args: usageArgs(cobra.NoArgs),
	}
	flags := bindSettings(cmd)
	adopt := cmd.Flags().Bool("adopt", false, "take over the journal of another program, for good")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		l, err := loadSettings(flags, environ)
		if err != nil {
			return err
		}
		warnOfSettings(o, l)
		return serve(cmd.Context(), o, &l.Settings, *adopt)
	}
	return cmd
}

// worldOf is an outside in which most goes well.
func worldOf(s *config.Settings) sim.Options {
	own := s.Own.(*settings)
	return sim.Options{
		Seed: own.Seed, Latency: own.Latency, Silence: 2 * time.Second,
		DeclineRate: 0.04, UndeliverableRate: 0.02,
		TransientRate: 0.04, TimeoutRate: 0.002, LostAnswerRate: 0.01,
	}
}

// serve runs a deployable until ctx ends. Then the requests end first, the bus after them, then the transport, and the journal
// last.
func serve(ctx context.Context, o *options, c *config.Settings, adopt bool) (err error) {
	outliveReaders()
	l, err := listen(ctx, c.HTTP)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }() // for the case that nobody has come to serve it
	logger := slog.New(slog.NewTextHandler(o.stderr, nil))
	s, err := openShop(ctx, shopConfig{
		journal: c.Journal, adopt: adopt, world: worldOf(c), parallel: runParallel, logger: logger,
		name: c.Name, modules: c.Modules, transport: c.Transport(),
	})
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		logger.Info("stopping: nothing was open yet")
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	here := c.Modules
	if here == nil {
		here = moduleNames()
	}
	api, err := httpapi.New(httpapi.Config{
		Orders: s.orders, Stock: s.stock, Journal: s.journal, Logger: logger,
		Modules: here, Peers: c.Peers, Links: s.bus.Links, Ready: s.bus.Ready, Hosts: hostsOf(c.HTTP, c.Hosts),
	})
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
		a := announcement{URL: urlOf(l), Journal: s.journal.Path(), Name: c.Name, Modules: here, Transport: c.Carrier.Kind, at: c.Where()}
		if err := unheard(a.print(o)); err != nil {
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

// hostsOf are the names that a server at address answers for: those that are configured, and that of the address if it has one.
func hostsOf(address string, configured []string) []string {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return configured
	}
	return append([]string{host}, configured...)
}

// announcement says where the shop is, and what of it.
type announcement struct {
	URL       string   `json:"url"`
	Journal   string   `json:"journal"`
	Name      string   `json:"name"`
	Modules   []string `json:"modules"`
	Transport string   `json:"transport"`

	at string // where the transport is
}

func (a announcement) print(o *options) error {
	if o.json {
		return o.printJSON(a)
	}
	p := &printer{o: o}
	p.line("The shop is open at %s", a.URL)
	p.line("Its journal is %s", a.Journal)
	if a.Transport != transports.SQLite {
		p.line("It is deployable %s, which runs %s, and meets the others over %s at %s", a.Name, strings.Join(a.Modules, ", "), a.Transport, a.at)
	}
	return p.err
}

// urlOf is where a browser finds what listens.
func urlOf(l net.Listener) string {
	at := listenedOn(l)
	if at.Addr().IsUnspecified() { // everywhere, which is no place to send a browser to
		return fmt.Sprintf("http://localhost:%d", at.Port())
	}
	return "http://" + at.String()
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
