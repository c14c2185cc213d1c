package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/process"
	"github.com/troupebus/troupe/internal/config"
	"github.com/troupebus/troupe/internal/httpserve"
	"github.com/troupebus/troupe/transports"
	"github.com/troupebus/troupe/transports/sqlite"
)

const observeLong = `observe copies into a journal of its own, from all deployables: every event, the outcome of
every delivery, the replays and drops of dead letters, and the delayed events. On this journal,
'{name} trace', 'events', 'dlq list', 'dlq show' and 'verify' show the whole system as if it ran
in one process, also while observe runs. observe serves over HTTP, read-only:

  GET /flows/ID    a flow as JSON; ID is an id or a key, as for '{name} trace'
  GET /events      events; ?type= and ?key= filter, ?after=SEQ and ?limit= give pages
  GET /verify      the audit of the whole system, as '{name} verify --json' prints it,
                   and the topics that are not being read
  GET /healthz     the process is alive
  GET /readyz      all topics are being read; otherwise 503, with the reason

observe runs no modules: replay and drop dead letters on the journal of the deployable that
runs the subscription. You may delete the journal of the observer: a new one fills again with
all messages that the transport has kept.`

const observeExample = `  {name} observe --transport kafka --brokers 127.0.0.1:9092
  {name} trace ID --journal observer.db
  {name} verify --journal observer.db
  curl http://127.0.0.1:8090/flows/ID`

// Defaults of observe.
const (
	defaultObserver     = "observer.db"
	defaultObserverHTTP = "127.0.0.1:8090"
)

// NewObserveCmd returns the command observe.
func NewObserveCmd(o *console.Options) *cobra.Command {
	c := ObserveConfig{Wiring: o.Program.Wiring()}
	cmd := &cobra.Command{
		Use: "observe", Short: "Watch a system of several deployables as one",
		Long: observeLong, Example: observeExample,
		Args: console.NoArgs,
	}
	cmd.Flags().StringVar(&c.Journal, "journal", defaultObserver, "journal file of the observer, created if missing")
	cmd.Flags().StringVar(&c.http, "http", defaultObserverHTTP, "address to listen on; port 0 chooses a free port")
	_ = cmd.MarkFlagFilename("journal", "db") // only fails for a flag that does not exist
	flags := o.BindSettings(cmd, "hosts", "transport", "prefix", "kafka", "postgres")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		l, err := o.LoadSettingsOf(config.Input{Flags: flags, Environ: o.Environ, Shared: true})
		switch {
		case err != nil:
			return err
		case l.Backend.Kind == transports.SQLite:
			return console.UsageErrorf("there is nothing to observe without a transport: set --transport to the transport of the deployables; a single deployable has everything in its journal")
		}
		c.hosts = console.HostsOf(c.http, l.Hosts)
		o.WarnOfSettings(l)
		c.Connect = func(group string, logger *slog.Logger) (bus.Transport, error) {
			t := l.Transport()
			t.Group, t.Logger = group, logger
			t.Kafka.NoCreate, t.Postgres.NoCreate = true, true // create no topics on the backend of another system
			return transports.Open(t)
		}
		return c.serve(cmd.Context(), o)
	}
	return cmd
}

// ObserveConfig configures an observer.
type ObserveConfig struct {
	Wiring  bus.Wiring // of all deployables together
	Journal string
	http    string
	hosts   []string // accepted host names of requests, beside localhost and IP addresses
	Connect func(group string, logger *slog.Logger) (bus.Transport, error)
}

// serve observes until ctx ends. Then the requests end first, and the journal is closed last.
func (c ObserveConfig) serve(ctx context.Context, o *console.Options) (err error) {
	process.OutliveReaders()
	l, err := console.Listen(ctx, c.http)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }() // if an error comes before serveObserver
	logger := slog.New(slog.NewTextHandler(o.Stderr, nil))
	ob, err := OpenObserver(ctx, c, sqlite.Config{
		SlowWork: -1, Logger: logger, Program: c.Wiring.Program(o.Program.Name, console.Version()),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ob.Close()) }()
	if err := process.IgnoreClosedPipe(announceObserver(o, l, ob.Journal.Path())); err != nil {
		return err
	}
	if at := console.ListenedOn(l); !at.Addr().IsLoopback() {
		logger.Warn("the observer can be reached from other machines, and shows every event without authentication", slog.String("address", at.String()))
	}
	observing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ob.Run(observing)
	}()
	err = serveObserver(ctx, l, ObserverAPI{O: o, Ob: ob, Logger: logger}, c.hosts)
	stop()
	<-ended
	return err
}

func announceObserver(o *console.Options, l net.Listener, journal string) error {
	url := console.UrlOf(l)
	if o.Json {
		return o.PrintJSON(struct {
			URL     string `json:"url"`
			Journal string `json:"journal"`
		}{url, journal})
	}
	_, err := fmt.Fprintf(o.Stdout, "Observing at %s\nThe journal is %s\n", url, journal)
	return err
}

// Observer copies all topics of a system into a journal.
type Observer struct {
	Journal   *sqlite.Journal
	Transport bus.Transport
	ingests   []*wire.Ingest
}

// OpenObserver opens the journal and the transport. The caller closes the observer.
func OpenObserver(ctx context.Context, c ObserveConfig, cfg sqlite.Config) (*Observer, error) {
	j, err := sqlite.Open(ctx, c.Journal, cfg)
	if err != nil {
		return nil, err
	}
	ob := &Observer{Journal: j}
	into, err := j.Observe(ctx, subscriptionsOf(c.Wiring))
	if err != nil {
		return nil, errors.Join(err, j.Close())
	}
	if ob.Transport, err = c.Connect("observer-"+j.ID()[:8], cfg.Logger); err != nil {
		return nil, errors.Join(fmt.Errorf("the transport to the deployables: %w", err), j.Close())
	}
	for _, topic := range append(emitters(c.Wiring), wire.RecordsTopic) {
		ob.ingests = append(ob.ingests, wire.NewIngest(wire.IngestConfig{
			Topic: topic, Subscriber: ob.Transport, Logger: cfg.Logger,
			Take: into.Take, Wants: wants(c.Wiring, topic), Memory: j.Memory(),
		}))
	}
	return ob, nil
}

// wants returns a filter for a topic, which accepts all events but those of a module with another topic: for such an
// event the filter returns an error. The deployables store such a message as bus.undecoded, too.
func wants(w bus.Wiring, topic string) func(*journal.Event) (bool, error) {
	modules := w.Program("", "").Modules()
	return func(e *journal.Event) (bool, error) {
		err := wire.CheckSource(e, topic, func(name string) bool { return slices.Contains(modules, name) })
		return err == nil, err
	}
}

// Run copies the topics until ctx ends.
func (ob *Observer) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, i := range ob.ingests {
		running.Go(func() { _ = i.Run(ctx) }) // Run returns only when ctx ends
	}
	running.Wait()
}

// read returns the state of each topic, and the names of the topics that are not being read now.
func (ob *Observer) read() (links []httpserve.Link, unread []string) {
	states := make([]bus.Link, len(ob.ingests))
	for n, i := range ob.ingests {
		states[n] = i.Link()
	}
	wire.Warn(states, ob.Transport.Features())
	for _, l := range states {
		v := httpserve.ViewLink(l)
		if links = append(links, v); !v.OK() {
			unread = append(unread, l.Topic)
		}
	}
	return links, unread
}

// Close closes the transport and the journal.
func (ob *Observer) Close() error { return errors.Join(ob.Transport.Close(), ob.Journal.Close()) }

func subscriptionsOf(w bus.Wiring) []journal.Subscription {
	subs := make([]journal.Subscription, len(w.Subscriptions))
	for i, s := range w.Subscriptions {
		subs[i] = journal.Subscription{Name: s.Name, Was: s.Was, Types: s.Consumes, Emits: s.Emits, FromNow: s.FromNow}
	}
	return subs
}

// emitters returns the modules that emit events: each has a topic.
func emitters(w bus.Wiring) []string {
	modules := map[string]bool{}
	for _, e := range w.Events {
		modules[e.Emitter] = true
	}
	return slices.Sorted(maps.Keys(modules))
}

// grace is the time in which an event may be in transit between deployables before it counts as missing.
const grace = 10 * time.Second
