package bus

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
)

// Transport carries events between deployables; see there for its contract. Package bus/wire/wiretest tests it.
type Transport = wire.Transport

// Features says what a Transport can do.
type Features = wire.Features

// Link is one direction of what goes between this deployable and the others, as it is now.
type Link = wire.Link

// RecordsTopic is the topic on which deployables tell what became of their deliveries, for whoever watches all of them. No
// module can have that name.
const RecordsTopic = "_records"

// here reports whether the module runs in this process.
func (m *Module) here() bool {
	return m.bus.cfg.Modules == nil || m.name == ownName || slices.Contains(m.bus.cfg.Modules, m.name)
}

// mustBeHere is an ErrElsewhere when the module runs in another process.
func (m *Module) mustBeHere() error {
	if m.here() {
		return nil
	}
	return &ElsewhereError{Module: m.name, Here: m.bus.cfg.Modules}
}

// checkModules returns what is wrong with the choice of modules.
func (b *Bus) checkModules() (errs []error) {
	for _, name := range b.cfg.Modules {
		if b.modules[name] == nil {
			errs = append(errs, fmt.Errorf("module %q is to run here, but is not wired: there are %s", name, strings.Join(slices.Sorted(maps.Keys(b.modules)), ", ")))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.modules)) {
		if !b.modules[name].here() && b.cfg.Transport == nil {
			errs = append(errs, fmt.Errorf("module %q runs elsewhere, but there is no Transport to it", name))
		}
	}
	return errs
}

// wires are the relays and ingests of a bus with a transport.
type wires struct {
	logger  *slog.Logger
	relays  []*wire.Relay
	ingests []*wire.Ingest
	claim   func(context.Context) error // that this process sends; nil where it reads, too
}

// openWires prepares what goes between this deployable and the others: everything that the modules here emit is sent to the
// topics called after them, and what they consume of others' is taken in.
func (b *Bus) openWires(ctx context.Context) error {
	if b.cfg.Transport == nil {
		return nil
	}
	b.wires.logger = b.cfg.Logger
	var err error
	if carrier := b.carrier(ctx); carrier != "" {
		if err = b.journal.Over(ctx, carrier); err != nil {
			return fmt.Errorf("bus: relay: %w", err)
		}
	}
	if b.wires.relays, err = b.openRelays(ctx); err != nil {
		return fmt.Errorf("bus: relay: %w", err)
	}
	wants := b.consumedHere()
	for _, module := range b.emittersElsewhere(wants) {
		b.wires.ingests = append(b.wires.ingests, wire.NewIngest(wire.IngestConfig{
			Topic: module, Place: b.placeIn(module), Subscriber: b.cfg.Transport, Logger: b.cfg.Logger, Chance: b.cfg.Chance,
			Memory: b.journal.Memory(),
			Wants: func(e *journal.Event) (bool, error) {
				if _, known := b.types[e.Type]; known && !wants[e.Type] {
					return false, nil
				}
				return true, b.checkSource(module, e)
			},
			Take: b.take("ingest of " + module),
		}))
	}
	if claim := b.cfg.Transport.Features().Claim; claim != nil && len(b.wires.ingests) == 0 { // whoever reads is told apart by that
		b.wires.claim = func(ctx context.Context) error {
			return wire.KeepClaim(ctx, claim, RecordsTopic, b.journal.Memory(), b.cfg.Logger)
		}
	}
	return nil
}

// identifyFor is how long the start waits for a carrier to say which one it is.
const identifyFor = 3 * time.Second

// carrier names what lies between the deployables, as the journal notes it.
func (b *Bus) carrier(ctx context.Context) string {
	f := b.cfg.Transport.Features()
	if f.Backend == "" || f.Identity == nil {
		return f.Backend
	}
	ctx, cancel := context.WithTimeout(ctx, identifyFor)
	defer cancel()
	if id := f.Identity(ctx); id != "" {
		return f.Backend + journal.IdentityMark + id
	}
	return f.Backend
}

// openRelays makes a relay for each topic, so that one that cannot be written holds up no other: those of the modules here that emit
// something, and that of the records. What else there is, such as the events of a module that emits nothing any more, goes with what
// the transport refused.
func (b *Bus) openRelays(ctx context.Context) (relays []*wire.Relay, err error) {
	open := func(feed journal.FeedName, name, try string, topic func(*journal.Event) string) error {
		f, err := b.journal.Feed(ctx, feed)
		if err == nil {
			relays = append(relays, wire.NewRelay(wire.RelayConfig{
				Feed: f, Publisher: b.cfg.Transport, Name: name, Logger: b.cfg.Logger, Chance: b.cfg.Chance, Topic: topic, Take: b.take("relay"),
				Skip: feed == journal.FeedRecords, Try: try,
			}))
		}
		return err
	}
	apart := map[string]bool{}
	for _, name := range b.emittersHere() {
		apart[name] = true
		err := open(journal.SentTo(name), name, name, func(e *journal.Event) string {
			if e.Source == name && e.Type != wire.UnsentType {
				return name
			}
			return ""
		})
		if err != nil {
			return nil, err
		}
	}
	rest := func(e *journal.Event) string {
		if topic := b.topicOf(e); !apart[topic] {
			return topic
		}
		return ""
	}
	if err := open(journal.Rest, "events", RecordsTopic, rest); err != nil {
		return nil, err
	}
	return relays, open(journal.FeedRecords, RecordsTopic, RecordsTopic,
		func(*journal.Event) string { return RecordsTopic })
}

// emittersHere are the modules that run here and emit something.
func (b *Bus) emittersHere() []string {
	found := map[string]bool{}
	for _, t := range b.types {
		if m := b.modules[t.emitter]; m != nil && m.here() {
			found[m.name] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// take makes what comes by a wire durable.
func (b *Bus) take(name string) func(context.Context, []*journal.Event) error {
	return func(ctx context.Context, events []*journal.Event) error {
		return b.journal.Do(ctx, journal.Work{Name: name}, func(journal.TxFunc) ([]*journal.Event, error) { return events, nil })
	}
}

// topicOf is where an event of the journal is sent: nowhere, unless a module that runs here emitted it. That the transport refused one
// is for observers to know.
func (b *Bus) topicOf(e *journal.Event) string {
	if e.Type == wire.UnsentType {
		return RecordsTopic
	}
	if m := b.modules[e.Source]; m != nil && m.here() {
		return e.Source
	}
	return ""
}

// checkSource rejects an event of another module than the topic's. Otherwise the relay of that module would send the event on in the
// module's name.
func (b *Bus) checkSource(topic string, e *journal.Event) error {
	return wire.CheckSource(e, topic, func(name string) bool { return b.modules[name] != nil })
}

// consumedHere are the event types that modules which run here consume.
func (b *Bus) consumedHere() map[string]bool {
	types := map[string]bool{}
	for _, s := range b.subscriptions {
		if s.module.here() {
			types[s.eventType] = true
		}
	}
	return types
}

// placeIn returns the name of the place in the topic of a module. The name stands for all event types of the module that subscriptions
// here consume. A program that consumes other types has another place: a new place begins at the oldest message, a former one goes on
// where it was, and events that the journal has are dropped. So no place ever passes a message that its subscriptions want. A
// subscription FromNow counts, too: messages that come while it does not run here are not acknowledged in its name.
func (b *Bus) placeIn(module string) string {
	types := map[string]bool{}
	for _, s := range b.subscriptions {
		if s.module.here() && b.types[s.eventType].emitter == module {
			types[s.eventType] = true
		}
	}
	sum := fnv.New64a()
	for _, t := range slices.Sorted(maps.Keys(types)) {
		_, _ = io.WriteString(sum, t+"\n") // a hash takes everything
	}
	return strconv.FormatUint(sum.Sum64(), 36)
}

// emittersElsewhere are the modules that emit any of types and run elsewhere.
func (b *Bus) emittersElsewhere(types map[string]bool) []string {
	found := map[string]bool{}
	for eventType := range types {
		if m := b.modules[b.types[eventType].emitter]; m != nil && !m.here() {
			found[m.name] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// run starts everything. Nothing is taken in any more when ctx has ended; what is called at the end, after the reactions have
// ended, or after work has, stops the relays, and returns when all is over. Replaced gets the error that ends the process.
func (w *wires) run(ctx, work context.Context) (replaced <-chan error, end func()) {
	var running sync.WaitGroup
	taking, stopTaking := context.WithCancel(ctx)
	fatal := make(chan error, len(w.ingests)+len(w.relays)+1)
	start := func(ctx context.Context, run func(context.Context) error) {
		running.Go(func() {
			err := run(ctx)
			if errors.Is(err, wire.ErrReplaced) {
				stopTaking()
				fatal <- err
			} else if err != nil && !errors.Is(err, context.Canceled) {
				w.logger.LogAttrs(ctx, slog.LevelError, "what goes between the deployables has ended by itself", slog.Any("error", err))
			}
		})
	}
	sending, stop := context.WithCancel(work)
	for _, i := range w.ingests {
		start(taking, i.Run)
	}
	for _, r := range w.relays {
		start(sending, r.Run)
	}
	if w.claim != nil {
		start(taking, w.claim)
	}
	return fatal, func() {
		stopTaking()
		stop()
		running.Wait()
	}
}

// Links says how it stands between this deployable and the others: what is sent, and each topic that is taken in. Without a
// Transport there are none. It may be called once Running is closed.
func (b *Bus) Links() []Link {
	var links []Link
	for _, r := range b.wires.relays {
		links = append(links, r.Link())
	}
	for _, i := range b.wires.ingests {
		links = append(links, i.Link())
	}
	if b.cfg.Transport != nil {
		wire.Warn(links, b.cfg.Transport.Features())
	}
	return links
}
