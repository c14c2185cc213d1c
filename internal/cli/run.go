package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/process"
	"github.com/troupebus/troupe/internal/config"
	"github.com/troupebus/troupe/internal/front"
	"github.com/troupebus/troupe/transports"
)

const runLong = `run runs the modules of {name} and serves its HTTP routes until interrupted.

With --modules, run runs some of the modules, as one of several deployables. Each deployable
has its own journal. The deployables exchange events over Kafka or Postgres, and start in any
order, also before Kafka or Postgres: each works without the others, and catches up. Settings
can also be in {name}.yaml and in variables: see {name} config, and {name} check for all files.

run also serves:

  GET /healthz               the process is alive
  GET /readyz                the modules and the journal take work; the state of the links
  GET /-/flows/ID            a flow as JSON; ?wait=5s waits until all events are handled
  GET /-/flows/ID/events     the events of a flow as they happen (Server-Sent Events)

SIGINT, SIGTERM and SIGHUP stop {name} gracefully: new requests are refused, streams end, other
requests finish, then the modules stop. A kill loses nothing: every flow continues when {name}
runs again. There is no authentication: listen where only trusted clients can connect.
Requests must be for an IP address, localhost or one of --hosts.`

const runExample = `  {name} run --journal {name}.db
  curl 'http://127.0.0.1:8080/-/flows/ID?wait=5s'
  {name} run --modules {module} --transport kafka --brokers 127.0.0.1:9092 --journal one.db
  {name} run --modules {others} --transport kafka --brokers 127.0.0.1:9092 --journal two.db --http 127.0.0.1:8081`

func newRunCmd(o *console.Options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "run", Short: "Run all modules, or some, and serve HTTP",
		Long: runLong, Example: runExample,
		Args: console.NoArgs,
	}
	flags := o.BindSettings(cmd)
	adopt := cmd.Flags().Bool("adopt", false, "take over the journal of a renamed program, for good")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		l, err := o.LoadSettingsOf(config.Input{Flags: flags, Environ: o.Environ})
		if err != nil {
			return err
		}
		o.WarnOfSettings(l)
		l.Apply()
		return serve(cmd.Context(), o, &l.Settings, *adopt)
	}
	return cmd
}

// serve runs a deployable until ctx ends. Then the requests end first, the bus after them, then the transport, and
// the journal last.
func serve(ctx context.Context, o *console.Options, c *config.Settings, adopt bool) (err error) {
	process.OutliveReaders()
	l, err := console.Listen(ctx, c.HTTP)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }() // if an error comes before Serve
	logger := slog.New(slog.NewTextHandler(o.Stderr, nil))
	instead := ""
	if c.Backend.Kind == transports.SQLite { // all modules run here
		instead = fmt.Sprintf("name the modules that run here with --modules, and the --transport, or bring the journals together with '%s' first", o.Typed("merge"))
	}
	r, err := open(ctx, o, deployment{
		name: c.Name, modules: c.Modules, peers: c.Peers, journal: c.Journal, adopt: adopt, instead: instead,
		transport: c.Transport(), bus: o.Program.Bus, logger: logger, hosts: console.HostsOf(c.HTTP, c.Hosts),
	})
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		logger.Info("stopping: nothing was open yet")
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	routes, err := routes(o.Program, r)
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
		a := announcement{
			URL: console.UrlOf(l), Journal: r.Journal.Path(), Name: c.Name, Modules: r.Modules, Transport: c.Backend.Kind,
			at: c.Where(), program: o.Program.Name,
		}
		if err := process.IgnoreClosedPipe(a.print(o)); err != nil {
			return err
		}
		warnIfReachable(logger, l)
		return r.Front.Serve(serving, l, routes)
	})
}

// methods are the methods for which routes checks the patterns.
var methods = []string{
	http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// routes returns the program's own routes. A route with a reserved path is a mistake in the App.
func routes(p *console.Wired, r *running) (http.Handler, error) {
	mux := http.NewServeMux()
	if p.HTTP == nil {
		return mux, nil
	}
	if err := p.Guard("HTTP", func() { p.HTTP(mux, r.doors, r.Deployable) }); err != nil {
		return nil, err
	}
	for _, path := range front.Paths {
		for _, method := range methods {
			if _, pattern := mux.Handler(&http.Request{Method: method, URL: &url.URL{Path: path}}); front.Reserved(pattern) {
				p.Mistaken("HTTP has the route %q, whose path belongs to the health and the flows of every program: choose another path", pattern)
			}
		}
	}
	return mux, nil
}

// announcement is the output of run: the address of the deployable, and the modules.
type announcement struct {
	URL       string   `json:"url"`
	Journal   string   `json:"journal"`
	Name      string   `json:"name"`
	Modules   []string `json:"modules"`
	Transport string   `json:"transport"`

	at      string // address of the backend
	program string // name of the program
}

func (a announcement) print(o *console.Options) error {
	if o.Json {
		return o.PrintJSON(a)
	}
	p := &console.Printer{O: o}
	p.Line("%s is at %s", a.program, a.URL)
	p.Line("Its journal is %s", a.Journal)
	if a.Transport != transports.SQLite {
		p.Line("Deployable %s runs %s, and exchanges events with the others over %s at %s", a.Name, strings.Join(a.Modules, ", "), a.Transport, a.at)
	}
	return p.Err
}

// warnIfReachable logs a warning if other machines can connect to l.
func warnIfReachable(logger *slog.Logger, l net.Listener) {
	if at := console.ListenedOn(l); !at.Addr().IsLoopback() {
		logger.Warn("this address can be reached from other machines, and there is no authentication", slog.String("address", at.String()))
	}
}
