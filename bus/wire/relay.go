package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/oncelog"
	"github.com/troupebus/troupe/internal/pause"
)

// relayBatch limits the events of the log that are sent at once. Kafka's clients combine a batch into large requests;
// measured, one call a message has a fortieth of the speed.
const relayBatch = 1000

// Relay sends the events of a feed to the topics of a transport, in order, and retries until the transport has taken
// each event. The journal is the outbox, and the feed is a position in the journal.
type Relay struct {
	feed      journal.Feed
	publisher message.Publisher
	topic     func(*journal.Event) string
	take      func(context.Context, []*journal.Event) error
	try       string
	sent      atomic.Bool // the transport has taken a batch or the try
	skip      bool
	state     linkState
}

// RelayConfig configures a Relay. All fields but Take, Try, Skip and Chance are required.
type RelayConfig struct {
	Feed      journal.Feed
	Publisher message.Publisher
	Topic     func(*journal.Event) string // the topic of an event; "" means that the event is not sent
	Name      string                      // the Topic of the relay's Link
	// Take stores events durably, except events with a known id. The relay stores an event of UnsentType for each event
	// that the transport refuses, and continues with the others. Defaults to none: then the
	// relay retries a refused message, like after any other error, and sends no later events.
	Take func(context.Context, []*journal.Event) error
	// Try is a topic to which the relay publishes no messages at the start, and again until the transport takes the try
	// or a batch. So an unreachable backend is noticed before there are events to send. Defaults to none.
	Try string
	// Skip makes the relay leave out messages that the transport refuses, and say so in the link from then on. Skip is
	// for records: records can be sent again, while a dead letter of a record would cause further records. Defaults to
	// false.
	Skip   bool
	Logger *slog.Logger
	// Chance returns a random number in [0, 1), for the jitter of pauses. Defaults to rand.Float64 of math/rand/v2.
	Chance func() float64
}

// NewRelay returns a relay, which does nothing before Run.
func NewRelay(c RelayConfig) *Relay {
	return &Relay{
		feed: c.Feed, publisher: c.Publisher, topic: c.Topic, take: c.Take, try: c.Try, skip: c.Skip,
		state: linkState{topic: c.Name, out: true, logger: c.Logger, chance: c.Chance, untried: c.Try != "",
			fails: oncelog.NewTries(c.Logger, "relay", "topic", c.Name)},
	}
}

// Link returns the state of the relay.
func (r *Relay) Link() Link {
	l := r.state.link()
	l.Lag = r.feed.Lag()
	return l
}

// batch is a number of events of the log, encoded, by topic.
type batch struct {
	topics []string // in the order of their first events
	byName map[string][]*message.Message
	last   int64 // seq of the last event, also when not sent
	err    error // set instead of the other fields in the last batch
}

// Run sends events until ctx ends or the journal is closed, and then returns nil. While Run sends a batch, the next
// batch is read.
func (r *Relay) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	ahead := make(chan batch)
	var trying sync.WaitGroup
	if r.try != "" {
		trying.Go(func() { r.tryFirst(ctx) })
	}
	defer func() {
		cancel()
		trying.Wait()
		for range ahead { // until the reading goroutine has ended
			continue
		}
	}()
	go func() {
		defer close(ahead)
		for {
			b := r.next(ctx)
			select {
			case ahead <- b:
			case <-ctx.Done():
				return
			}
			if b.err != nil {
				return
			}
		}
	}()
	for b := range ahead {
		if b.err == nil {
			b.err = r.send(ctx, b)
		}
		switch {
		case ctx.Err() != nil || errors.Is(b.err, journal.ErrClosed):
			return nil
		case b.err != nil:
			return b.err
		}
		r.feed.Passed(b.last)
	}
	return nil
}

// next waits for events, and returns them encoded. A journal that cannot be read is tried again.
func (r *Relay) next(ctx context.Context) batch {
	for {
		events, err := r.feed.Next(ctx, relayBatch)
		switch {
		case err == nil:
			return r.encode(events)
		case ctx.Err() != nil || errors.Is(err, journal.ErrClosed):
			return batch{err: err}
		}
		if !pause.For(ctx, r.state.failed(fmt.Errorf("read the journal: %w", err))) {
			return batch{err: ctx.Err()}
		}
	}
}

// encode groups events by topic. After a failure the relay sends all messages of the failed topic again. For
// each key the transport took a prefix, so the order holds.
func (r *Relay) encode(events []*journal.Event) batch {
	b := batch{byName: map[string][]*message.Message{}}
	for _, e := range events {
		b.last = e.Seq
		topic := r.topic(e)
		if topic == "" {
			continue
		}
		if b.byName[topic] == nil {
			b.topics = append(b.topics, topic)
		}
		if e.Type == UnsentType { // the transport refused the payload: send the fact alone
			fact := *e
			fact.Data, fact.Metadata = nil, nil
			e = &fact
		}
		b.byName[topic] = append(b.byName[topic], Encode(e))
	}
	return b
}

// send returns nil when the transport has all of b, or the error of ctx.
func (r *Relay) send(ctx context.Context, b batch) error {
	for _, topic := range b.topics {
		for msgs := b.byName[topic]; len(msgs) > 0; {
			err := publish(ctx, r.publisher, topic, msgs)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err == nil {
				break
			}
			if msgs, err = r.leaveOut(ctx, topic, msgs, err); err != nil && !pause.For(ctx, r.state.failed(err)) {
				return ctx.Err()
			}
		}
	}
	if len(b.topics) > 0 { // otherwise nothing was sent
		r.works()
	}
	return nil
}

func (r *Relay) works() {
	r.sent.Store(true)
	r.state.works()
}

// tryFirst publishes no messages to the topic of Try, until the transport has taken a try or a batch.
func (r *Relay) tryFirst(ctx context.Context) {
	for !r.sent.Load() {
		err := publish(ctx, r.publisher, r.try, nil)
		switch {
		case ctx.Err() != nil || r.sent.Load():
			return
		case err == nil:
			r.works()
		case !pause.For(ctx, r.state.failed(err)):
			return
		}
	}
}

// leaveOut returns msgs without the message that err refuses, after the refusal is stored in the journal. For any other
// error leaveOut returns msgs and err.
func (r *Relay) leaveOut(
	ctx context.Context, topic string, msgs []*message.Message, err error,
) ([]*message.Message, error) {
	var refused *Refused
	if r.take == nil && !r.skip || !errors.As(err, &refused) || refused.At < 0 || refused.At >= len(msgs) {
		return msgs, err
	}
	if r.skip {
		r.state.held(fmt.Errorf("a message of %d bytes to %s was refused and left out:"+
			" remove the cause, stop the deployable, resend from its journal, start the deployable: %w",
			len(msgs[refused.At].Payload), topic, err))
		return slices.Delete(msgs, refused.At, refused.At+1), nil
	}
	if err := r.take(ctx, []*journal.Event{unsent(topic, msgs[refused.At])}); err != nil {
		return msgs, fmt.Errorf("write the journal: %w", err)
	}
	return slices.Delete(msgs, refused.At, refused.At+1), nil
}

// UnsentType is the type of the event that stands for an event that the transport refused. The event has the payload
// and the metadata of the refused message; Resend sends the message again.
const UnsentType = "bus.unsent"

// unsent returns the event that stands for msg. The id is that of msg, so that repeated refusals leave one event.
func unsent(topic string, msg *message.Message) *journal.Event {
	e := &journal.Event{
		ID: msg.UUID, Type: UnsentType, Version: 1, Source: "bus", Key: Key(msg),
		Time:          time.Now().UTC().Truncate(time.Microsecond),
		CorrelationID: msg.Metadata[metaCorrelation], CausationID: msg.UUID,
		Metadata: map[string]string{metaTopic: topic}, Data: msg.Payload,
	}
	maps.Copy(e.Metadata, msg.Metadata)
	return e
}

// Resend publishes the message of e, an event of UnsentType. Resend returns nil when the transport has taken the
// message, else the error of the transport or of ctx.
func Resend(ctx context.Context, p message.Publisher, e *journal.Event) error {
	msg := message.NewMessage(e.ID, e.Data)
	maps.Copy(msg.Metadata, e.Metadata)
	delete(msg.Metadata, metaTopic)
	return publish(ctx, p, e.Metadata[metaTopic], []*message.Message{msg})
}

// publish returns when ctx ends even if p.Publish has not returned. The late result is ignored, and the messages will
// be sent again.
func publish(ctx context.Context, p message.Publisher, topic string, msgs []*message.Message) error {
	done := make(chan error, 1)
	go func() { done <- p.Publish(topic, msgs...) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
