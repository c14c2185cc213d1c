package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/internal/config"
	"github.com/troupebus/troupe/internal/front"
	"github.com/troupebus/troupe/transports"
)

const runLong = `run runs the modules of {name} and serves its routes over HTTP until it is interrupted.

With --modules it runs some of the modules only, as one of several deployables. Each of these
has a journal of its own, and they meet over Kafka or Postgres, which need not be there when
they start, in whatever order: each goes on with what it has, and catches up. Settings may
also be in {name}.yaml and in variables: see {name} config, and {name} check for all files.

Beside the routes of {name} it serves:

  GET /healthz               the process is alive
  GET /readyz                the modules and the journal take work, and how the links are
  GET /-/flows/ID            a flow as JSON; ?wait=5s waits until all of it is handled
  GET /-/flows/ID/events     the events of a flow as they happen (Server-Sent Events)

SIGINT, SIGTERM and SIGHUP stop it cleanly: no new requests are taken, streams end, those under
way finish, then the modules stop. A kill loses nothing either: run it again, and every
flow goes on where it was. There is no authentication: listen where only trusted clients
can connect. Requests must be for an IP address, localhost or one of --hosts.`

const runExample = `  {name} run --journal {name}.db
  curl 'http://127.0.0.1:8080/-/flows/ID?wait=5s'
  {name} run --modules {module} --transport kafka --brokers 127.0.0.1:9092 --journal one.db
  {name} run --modules {others} --transport kafka --brokers 127.0.0.1:9092 --journal two.db --http 127.0.0.1:8081`

func newRunCmd(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "run", Short: "Run the modules, or some of them, and serve HTTP",
		Long: runLong, Example: runExample,
		Args: usageArgs(cobra.NoArgs),
	}
	flags := o.bindSettings(cmd)
	adopt := cmd.Flags().Bool("adopt", false, "take over the journal of another program, for good")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		l, err := o.loadSettingsOf(config.Input{Flags: flags, Environ: o.environ})
		if err != nil {
			return err
		}
		o.warnOfSettings(l)
		l.Apply()
		return o.serve(cmd.Context(), &l.Settings, *adopt)
	}
	return cmd
}

// serve runs a deployable until ctx ends. Then the requests end first, the bus after them, then the transport, and
// the journal last.
func (o *options) serve(ctx context.Context, c *config.Settings, adopt bool) (err error) {
	outliveReaders()
	l, err := listen(ctx, c.HTTP)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }() // in case that nothing serves it
	logger := slog.New(slog.NewTextHandler(o.stderr, nil))
	instead := ""
	if c.Backend.Kind == transports.SQLite { // all modules run here
		instead = fmt.Sprintf("name those that run here with --modules, and their --transport, or bring the journals together with '%s' first", o.typed("merge"))
	}
	r, err := o.open(ctx, deployment{
		name: c.Name, modules: c.Modules, peers: c.Peers, journal: c.Journal, adopt: adopt, instead: instead, transport: c.Transport(), bus: o.program.Bus,
		logger: logger, hosts: hostsOf(c.HTTP, c.Hosts),
	})
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		logger.Info("stopping: nothing was open yet")
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	routes, err := o.program.routes(r)
	if err != nil {
		return err
	}
	return r.run(context.WithoutCancel(ctx), func(running context.Context) error {
		serving, stop := context.WithCancel(running)
		defer stop()
		defer context.AfterFunc(ctx, func() {
			logger.Info("stopping: requests first, then the modules, then the journal")
			stop()
		})()
		a := announcement{URL: urlOf(l), Journal: r.Journal.Path(), Name: c.Name, Modules: r.Modules, Transport: c.Backend.Kind,
			at: c.Where(), program: o.program.Name}
		if err := unheard(a.print(o)); err != nil {
			return err
		}
		warnOfStrangers(logger, l)
		return r.Front.Serve(serving, l, routes)
	})
}

// routes returns the program's own routes. A pattern that the program may not have is a mistake in its App.
func (p *program) routes(r *running) (http.Handler, error) {
	mux := http.NewServeMux()
	if p.HTTP == nil {
		return mux, nil
	}
	if err := p.guard("HTTP", func() { p.HTTP(mux, r.doors, r.Deployable) }); err != nil {
		return nil, err
	}
	for _, path := range front.Paths {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
			if _, pattern := mux.Handler(&http.Request{Method: method, URL: &url.URL{Path: path}}); front.Reserved(pattern) {
				p.mistaken("HTTP has the route %q, whose path belongs to the health and the flows of every program: choose another path", pattern)
			}
		}
	}
	return mux, nil
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

// hostsOf are the names that a server at address answers for: those that are configured, and that of the address if
// it has one.
func hostsOf(address string, configured []string) []string {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return configured
	}
	return append([]string{host}, configured...)
}

// announcement says where a deployable is, and what runs there.
type announcement struct {
	URL       string   `json:"url"`
	Journal   string   `json:"journal"`
	Name      string   `json:"name"`
	Modules   []string `json:"modules"`
	Transport string   `json:"transport"`

	at      string // where the transport is
	program string // its name
}

func (a announcement) print(o *options) error {
	if o.json {
		return o.printJSON(a)
	}
	p := &printer{o: o}
	p.line("%s is at %s", a.program, a.URL)
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

// warnOfStrangers logs that clients on other machines can use the program, where they can.
func warnOfStrangers(logger *slog.Logger, l net.Listener) {
	if at := listenedOn(l); !at.Addr().IsLoopback() {
		logger.Warn("this address can be reached from other machines, and there is no authentication", slog.String("address", at.String()))
	}
}

// listenedOn is where a listener for TCP, which listen makes, really listens.
func listenedOn(l net.Listener) netip.AddrPort {
	a := l.Addr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
