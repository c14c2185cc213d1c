package wire

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"

	"github.com/troupebus/troupe/bus/journal"
)

// RecordsTopic carries the delivery outcomes of every deployable, for observers. No module can have this name.
const RecordsTopic = "_records"

// Wiring describes the modules of a program as one process sees them.
type Wiring struct {
	Here     map[string]bool   // all modules by name, with true for those that run in this process
	Emitters map[string]string // the module of each event type, "" when no module emits the type
	Consumed map[string]bool   // the event types that modules of this process consume
}

// WiresConfig is the configuration of Open.
type WiresConfig struct {
	Wiring    Wiring
	Transport Transport
	Journal   journal.Journal
	Logger    *slog.Logger
	Chance    func() float64 // for the jitter of retries
}

// Open opens the relays and ingests. The relays send the events of each module here to the topic with the module's
// name. The ingests read the topics of the modules elsewhere whose events are consumed here.
func Open(ctx context.Context, c WiresConfig) (w Wires, err error) {
	w.Logger = c.Logger
	if backend := backendOf(ctx, c.Transport); backend != "" {
		if err := c.Journal.UseBackend(ctx, backend); err != nil {
			return w, fmt.Errorf("relay: %w", err)
		}
	}
	if w.Relays, err = c.openRelays(ctx); err != nil {
		return w, fmt.Errorf("relay: %w", err)
	}
	for _, module := range c.Wiring.emittersElsewhere() {
		w.Ingests = append(w.Ingests, NewIngest(IngestConfig{
			Topic: module, Position: c.Wiring.positionIn(module), Subscriber: c.Transport,
			Memory: c.Journal.Memory(), Logger: c.Logger, Chance: c.Chance,
			Wants: func(e *journal.Event) (bool, error) {
				if _, known := c.Wiring.Emitters[e.Type]; known && !c.Wiring.Consumed[e.Type] {
					return false, nil
				}
				return true, c.Wiring.CheckSource(module, e)
			},
			Take: c.take("ingest of " + module),
		}))
	}
	// With an ingest, Subscribe makes the claim.
	if claim := c.Transport.Features().Claim; claim != nil && len(w.Ingests) == 0 {
		w.Claim = func(ctx context.Context) error {
			return KeepClaim(ctx, claim, RecordsTopic, c.Journal.Memory(), c.Logger)
		}
	}
	return w, nil
}

// openRelays opens a relay for each topic, so that a topic that cannot be written does not delay the others: a relay
// for each module here that emits events, and a relay for the records. A further relay sends the rest: events of
// modules that emit no events any more, and events that the transport refused.
func (c WiresConfig) openRelays(ctx context.Context) (relays []*Relay, err error) {
	open := func(feed journal.FeedName, name, try string, topic func(*journal.Event) string) error {
		f, err := c.Journal.Feed(ctx, feed)
		if err == nil {
			relays = append(relays, NewRelay(RelayConfig{
				Feed: f, Publisher: c.Transport, Name: name, Logger: c.Logger, Chance: c.Chance,
				Topic: topic, Take: c.take("relay"), Skip: feed == journal.FeedRecords, Try: try,
			}))
		}
		return err
	}
	relayed := map[string]bool{}
	for _, name := range c.Wiring.emittersHere() {
		relayed[name] = true
		err := open(journal.SentTo(name), name, name, func(e *journal.Event) string {
			if e.Source == name && e.Type != UnsentType {
				return name
			}
			return ""
		})
		if err != nil {
			return nil, err
		}
	}
	rest := func(e *journal.Event) string {
		if topic := c.topicOf(e); !relayed[topic] {
			return topic
		}
		return ""
	}
	if err := open(journal.Rest, "events", RecordsTopic, rest); err != nil {
		return nil, err
	}
	records := func(*journal.Event) string { return RecordsTopic }
	return relays, open(journal.FeedRecords, RecordsTopic, RecordsTopic, records)
}

// take returns a function that stores events in the journal.
func (c WiresConfig) take(name string) func(context.Context, []*journal.Event) error {
	return func(ctx context.Context, events []*journal.Event) error {
		return c.Journal.Do(ctx, journal.Work{Name: name}, func(journal.TxFunc) ([]*journal.Event, error) {
			return events, nil
		})
	}
}

// topicOf returns the topic of an event, or "" for an event that is not sent because no module here emitted the event.
// Refused events go to the observers.
func (c WiresConfig) topicOf(e *journal.Event) string {
	switch {
	case e.Type == UnsentType:
		return RecordsTopic
	case c.Wiring.Here[e.Source]:
		return e.Source
	}
	return ""
}

// CheckSource rejects an event whose source is another module than the owner of the topic. Otherwise the owner's relay
// would send the event on as the owner's.
func (w Wiring) CheckSource(topic string, e *journal.Event) error {
	return CheckSource(e, topic, func(name string) bool { _, known := w.Here[name]; return known })
}

// emittersHere returns the modules that run here and emit events, sorted.
func (w Wiring) emittersHere() []string {
	found := map[string]bool{}
	for _, module := range w.Emitters {
		if w.Here[module] {
			found[module] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// emittersElsewhere returns the modules that run elsewhere and emit events that are consumed here, sorted.
func (w Wiring) emittersElsewhere() []string {
	found := map[string]bool{}
	for eventType := range w.Consumed {
		module := w.Emitters[eventType]
		if here, known := w.Here[module]; known && !here {
			found[module] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// positionIn returns the name of the consumer position in the topic of a module. The name is a hash of the module's
// event types that subscriptions here consume. A program that consumes other types uses another position. A new
// position starts at the oldest message, and the journal drops the events that are stored already. So a position
// never passes a message that a subscription of its program wants. Types of FromNow subscriptions count, too: a
// program without the subscription must not acknowledge its messages.
func (w Wiring) positionIn(module string) string {
	sum := fnv.New64a()
	for _, t := range slices.Sorted(maps.Keys(w.Consumed)) {
		if w.Emitters[t] == module {
			_, _ = io.WriteString(sum, t+"\n") // a hash takes everything
		}
	}
	return strconv.FormatUint(sum.Sum64(), 36)
}

// Links returns the state of every relay and ingest on a transport with the features.
func (w *Wires) Links(f Features) []Link {
	var links []Link
	for _, r := range w.Relays {
		links = append(links, r.Link())
	}
	for _, i := range w.Ingests {
		links = append(links, i.Link())
	}
	Warn(links, f)
	return links
}
