package bus

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
)

// Transport carries events between deployables. A Transport is a Watermill publisher and subscriber with stronger
// promises: a published message survives a crash of the backend, messages with the same key stay in order, and a
// message that was not acknowledged is delivered again. Package transports opens the implementations that ship with
// Troupe. The whole contract is in bus/wire, and package bus/wire/wiretest tests implementations.
type Transport = wire.Transport

// Features describes the abilities of a Transport.
type Features = wire.Features

// Link is the present state of a relay, which sends events to other deployables, or of an ingest, which reads the
// events of a module elsewhere. Topic names the module or the records, Err is the present problem with advice, and Lag
// is the number of events that a relay has yet to look at.
type Link = wire.Link

// RecordsTopic carries the delivery outcomes of every deployable, for observers. No module can have this name.
const RecordsTopic = "_records"

func (m *Module) runsHere() bool {
	return m.bus.cfg.Modules == nil || m.name == ownName || slices.Contains(m.bus.cfg.Modules, m.name)
}

// mustRunHere returns an ErrElsewhere when the module runs in another process.
func (m *Module) mustRunHere() error {
	if m.runsHere() {
		return nil
	}
	return &ElsewhereError{Module: m.name, Here: m.bus.cfg.Modules}
}

// checkModules returns the mistakes in Config.Modules.
func (b *Bus) checkModules() (errs []error) {
	for _, name := range b.cfg.Modules {
		if b.modules[name] == nil {
			errs = append(errs, fmt.Errorf("Config.Modules has module %q, which is not wired: wired are %s",
				name, strings.Join(slices.Sorted(maps.Keys(b.modules)), ", ")))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.modules)) {
		if !b.modules[name].runsHere() && b.cfg.Transport == nil {
			errs = append(errs, fmt.Errorf("module %q runs elsewhere, but Config.Transport is not set", name))
		}
	}
	return errs
}

// openWires opens the relays and ingests. The relays send the events of each module here to the topic with the
// module's name. The ingests read the topics of the modules elsewhere whose events are consumed here.
func (b *Bus) openWires(ctx context.Context) error {
	if b.cfg.Transport == nil {
		return nil
	}
	b.wires.Logger = b.cfg.Logger
	var err error
	if backend := wire.Backend(ctx, b.cfg.Transport); backend != "" {
		if err = b.journal.UseBackend(ctx, backend); err != nil {
			return fmt.Errorf("relay: %w", err)
		}
	}
	if b.wires.Relays, err = b.openRelays(ctx); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	wants := b.consumedHere()
	for _, module := range b.emittersElsewhere(wants) {
		b.wires.Ingests = append(b.wires.Ingests, wire.NewIngest(wire.IngestConfig{
			Topic: module, Position: b.positionIn(module), Subscriber: b.cfg.Transport,
			Memory: b.journal.Memory(), Logger: b.cfg.Logger, Chance: b.cfg.Chance,
			Wants: func(e *journal.Event) (bool, error) {
				if _, known := b.types[e.Type]; known && !wants[e.Type] {
					return false, nil
				}
				return true, b.checkSource(module, e)
			},
			Take: b.take("ingest of " + module),
		}))
	}
	// With an ingest, Subscribe makes the claim.
	if claim := b.cfg.Transport.Features().Claim; claim != nil && len(b.wires.Ingests) == 0 {
		b.wires.Claim = func(ctx context.Context) error {
			return wire.KeepClaim(ctx, claim, RecordsTopic, b.journal.Memory(), b.cfg.Logger)
		}
	}
	return nil
}

// openRelays opens a relay for each topic, so that a topic that cannot be written does not delay the others: a relay
// for each module here that emits events, and a relay for the records. A further relay sends the rest: events of
// modules that emit no events any more, and events that the transport refused.
func (b *Bus) openRelays(ctx context.Context) (relays []*wire.Relay, err error) {
	open := func(feed journal.FeedName, name, try string, topic func(*journal.Event) string) error {
		f, err := b.journal.Feed(ctx, feed)
		if err == nil {
			relays = append(relays, wire.NewRelay(wire.RelayConfig{
				Feed: f, Publisher: b.cfg.Transport, Name: name, Logger: b.cfg.Logger, Chance: b.cfg.Chance,
				Topic: topic, Take: b.take("relay"), Skip: feed == journal.FeedRecords, Try: try,
			}))
		}
		return err
	}
	relayed := map[string]bool{}
	for _, name := range b.emittersHere() {
		relayed[name] = true
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
		if topic := b.topicOf(e); !relayed[topic] {
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

// emittersHere returns the modules that run here and emit events, sorted.
func (b *Bus) emittersHere() []string {
	found := map[string]bool{}
	for _, t := range b.types {
		if m := b.modules[t.emitter]; m != nil && m.runsHere() {
			found[m.name] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// take returns a function that stores events in the journal.
func (b *Bus) take(name string) func(context.Context, []*journal.Event) error {
	return func(ctx context.Context, events []*journal.Event) error {
		return b.journal.Do(ctx, journal.Work{Name: name}, func(journal.TxFunc) ([]*journal.Event, error) {
			return events, nil
		})
	}
}

// topicOf returns the topic of an event, or "" for an event that is not sent because no module here emitted the event.
// Refused events go to the observers.
func (b *Bus) topicOf(e *journal.Event) string {
	if e.Type == wire.UnsentType {
		return RecordsTopic
	}
	if m := b.modules[e.Source]; m != nil && m.runsHere() {
		return e.Source
	}
	return ""
}

// checkSource rejects an event whose source is another module than the owner of the topic. Otherwise the owner's relay
// would send the event on as the owner's.
func (b *Bus) checkSource(topic string, e *journal.Event) error {
	return wire.CheckSource(e, topic, func(name string) bool { return b.modules[name] != nil })
}

// consumedHere returns the event types that modules of this process consume.
func (b *Bus) consumedHere() map[string]bool {
	types := map[string]bool{}
	for _, s := range b.subscriptions {
		if s.module.runsHere() {
			for _, t := range s.types() {
				types[t] = true
			}
		}
	}
	return types
}

// positionIn returns the name of the consumer position in the topic of a module. The name is a hash of the module's
// event types that subscriptions here consume. A program that consumes other types uses another position. A new
// position starts at the oldest message, and the journal drops the events that are stored already. So a position
// never passes a message that a subscription of its program wants. Types of FromNow subscriptions count, too: a
// program without the subscription must not acknowledge its messages.
func (b *Bus) positionIn(module string) string {
	types := map[string]bool{}
	for t := range b.consumedHere() {
		if b.types[t].emitter == module {
			types[t] = true
		}
	}
	return wire.PositionOf(types)
}

// emittersElsewhere returns the modules that emit any of types and run elsewhere, sorted.
func (b *Bus) emittersElsewhere(types map[string]bool) []string {
	found := map[string]bool{}
	for eventType := range types {
		if m := b.modules[b.types[eventType].emitter]; m != nil && !m.runsHere() {
			found[m.name] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// Links returns the state of every relay and ingest, and none without a Transport. Call Links after Running is closed.
func (b *Bus) Links() []Link {
	var links []Link
	for _, r := range b.wires.Relays {
		links = append(links, r.Link())
	}
	for _, i := range b.wires.Ingests {
		links = append(links, i.Link())
	}
	if b.cfg.Transport != nil {
		wire.Warn(links, b.cfg.Transport.Features())
	}
	return links
}
