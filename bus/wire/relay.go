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
	"github.com/troupebus/troupe/internal/pause"
)

// relayBatch is how many events of the log are sent at once. Kafka's clients make large requests of them; one call a
// message is a fortieth of the speed.
const relayBatch = 1000

// Relay sends what a feed has to the topics of a transport, in the feed's order, again and again until the transport has
// taken it: the journal is the outbox, and the feed a place in it.
type Relay struct {
	feed      journal.Feed
	publisher message.Publisher
	topic     func(*journal.Event) string
	take      func(context.Context, []*journal.Event) error
	try       string
	sent      atomic.Bool // a batch, or a try, went well
	skip      bool
	line      line
}

// RelayConfig is what a Relay needs. All fields but Take, Try, Skip and Chance are required.
type RelayConfig struct {
	Feed      journal.Feed
	Publisher message.Publisher
	Topic     func(*journal.Event) string // where an event goes; "" leaves it out
	Name      string                      // of what it sends, for people
	// Take makes events durable, leaving out those that are there. It gets one of UnsentType for each event that the transport
	// refuses, and the others go on. Defaults to none: a refusal stops the relay, as any other error does.
	Take func(context.Context, []*journal.Event) error
	// Try is a topic to which the relay publishes nothing at its start, and again until that or a batch is taken: a carrier that was
	// never there is known before there is something to send. Defaults to none.
	Try string
	// Skip leaves out what the transport refuses, and the link says so from then on: for what can be told again, such as records, of
	// which each dead letter would make more. Defaults to false.
	Skip   bool
	Logger *slog.Logger
	// Chance draws a number from [0, 1), for the jitter of the pauses. Defaults to that of math/rand/v2.
	Chance func() float64
}

// NewRelay makes a relay. It does nothing before Run.
func NewRelay(c RelayConfig) *Relay {
	return &Relay{
		feed: c.Feed, publisher: c.Publisher, topic: c.Topic, take: c.Take, try: c.Try, skip: c.Skip,
		line: line{topic: c.Name, out: true, logger: c.Logger, chance: c.Chance, young: c.Try != ""},
	}
}

// Link is how the relay is.
func (r *Relay) Link() Link {
	l := r.line.link()
	l.Lag = r.feed.Lag()
	return l
}

// batch is what is sent at once: events of the log, encoded, by topic.
type batch struct {
	topics []string // in the order of their first events
	byName map[string][]*message.Message
	last   int64 // seq of the last event, sent or left out
	err    error // instead: there will be no more
}

// Run sends until ctx ends, which is no error, or the journal is closed. While one batch is being sent, the next is read.
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
		for range ahead { // until who reads ahead has ended
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

// next waits for events and encodes them. The journal that cannot be read is tried again: it is in trouble, not over.
func (r *Relay) next(ctx context.Context) batch {
	for {
		events, err := r.feed.Next(ctx, relayBatch)
		switch {
		case err == nil:
			return r.encode(events)
		case ctx.Err() != nil || errors.Is(err, journal.ErrClosed):
			return batch{err: err}
		}
		if !pause.For(ctx, r.line.failed(fmt.Errorf("read the journal: %w", err))) {
			return batch{err: ctx.Err()}
		}
	}
}

// encode sorts events by their topics. When a transport takes only some of a batch, all of it is sent again, and is never begun
// anew in the middle: of a key the first ones were taken, so that none overtakes another.
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
		if e.Type == UnsentType { // what it stands for is what was refused
			without := *e
			without.Data, without.Metadata = nil, nil
			e = &without
		}
		b.byName[topic] = append(b.byName[topic], Encode(e))
	}
	return b
}

// send returns when the transport has all of b, or with ctx's error.
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
			if msgs, err = r.without(ctx, topic, msgs, err); err != nil && !pause.For(ctx, r.line.failed(err)) {
				return ctx.Err()
			}
		}
	}
	if len(b.topics) > 0 { // otherwise nobody was asked
		r.works()
	}
	return nil
}

func (r *Relay) works() {
	r.sent.Store(true)
	r.line.works()
}

// tryFirst finds out whether there is somebody to send to.
func (r *Relay) tryFirst(ctx context.Context) {
	for !r.sent.Load() {
		err := publish(ctx, r.publisher, r.try, nil)
		switch {
		case ctx.Err() != nil || r.sent.Load():
			return
		case err == nil:
			r.works()
		case !pause.For(ctx, r.line.failed(err)):
			return
		}
	}
}

// without leaves out of msgs the one that err refuses, once the journal has what stands for it. Otherwise it returns err.
func (r *Relay) without(ctx context.Context, topic string, msgs []*message.Message, err error) ([]*message.Message, error) {
	var no *Refused
	if r.take == nil && !r.skip || !errors.As(err, &no) || no.At < 0 || no.At >= len(msgs) {
		return msgs, err
	}
	if r.skip {
		r.line.held(fmt.Errorf("%d bytes of %s are refused, and left out: when that is mended, stop the deployable, run the command 'resend' on its journal, start it: %w",
			len(msgs[no.At].Payload), topic, err))
		return slices.Delete(msgs, no.At, no.At+1), nil
	}
	if err := r.take(ctx, []*journal.Event{unsent(topic, msgs[no.At])}); err != nil {
		return msgs, fmt.Errorf("write the journal: %w", err)
	}
	return slices.Delete(msgs, no.At, no.At+1), nil
}

// UnsentType is the type of the event that stands for one that the transport refused: its payload is that one's, its metadata
// are the message's, and Resend gives it another try.
const UnsentType = "bus.unsent"

// unsent is the event that stands for msg. There is only one, however often that is refused.
func unsent(topic string, msg *message.Message) *journal.Event {
	e := &journal.Event{
		ID: msg.UUID, Type: UnsentType, Version: 1, Source: "bus", Key: Key(msg), Time: time.Now().UTC().Truncate(time.Microsecond),
		CorrelationID: msg.Metadata[metaCorrelation], CausationID: msg.UUID, Metadata: map[string]string{metaTopic: topic}, Data: msg.Payload,
	}
	maps.Copy(e.Metadata, msg.Metadata)
	return e
}

// Resend publishes the message that e, of UnsentType, stands for. It returns when that is taken, with the transport's error, or
// with ctx's.
func Resend(ctx context.Context, p message.Publisher, e *journal.Event) error {
	msg := message.NewMessage(e.ID, e.Data)
	maps.Copy(msg.Metadata, e.Metadata)
	delete(msg.Metadata, metaTopic)
	return publish(ctx, p, e.Metadata[metaTopic], []*message.Message{msg})
}

// publish leaves a call behind that does not end with ctx: nobody is waiting for what it says, and what it sends is sent again.
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
