package wire

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/oncelog"
	"github.com/troupebus/troupe/internal/pause"
)

// Limits of the messages that an ingest stores in one commit.
const (
	ingestBatch = 2000
	ingestBytes = 8 << 20
)

// UndecodedType is the type of the event that stands for a message that cannot be decoded. The event has the payload
// and the metadata of the message; Redecode tries again.
const UndecodedType = "bus.undecoded"

// Ingest stores the messages of a topic in the journal. An acknowledged message is in the journal, once.
type Ingest struct {
	topic      string
	position   string
	subscriber message.Subscriber
	wants      func(*journal.Event) (bool, error)
	take       func(context.Context, []*journal.Event) error
	memory     journal.Memory
	state      linkState
}

// IngestConfig configures an Ingest. All fields but Position, Wants, Memory and Chance are required.
type IngestConfig struct {
	Topic      string
	Position   string // the name of the consumer position; see WithPosition. A new name reads the topic from its start
	Subscriber message.Subscriber
	// Wants reports whether to store an event. False acknowledges and skips the event. An error stores the message as an
	// event of UndecodedType. Defaults to storing every event.
	Wants func(*journal.Event) (bool, error)
	// Take stores events durably and in order, all or none, except events with a known id.
	Take func(context.Context, []*journal.Event) error
	// Memory is where the journal keeps its position in the topic. Defaults to none: then only the transport keeps the
	// position.
	Memory journal.Memory
	Logger *slog.Logger
	// Chance returns a random number in [0, 1), for the jitter of pauses. Defaults to rand.Float64 of math/rand/v2.
	Chance func() float64
}

// NewIngest returns an ingest, which does nothing before Run.
func NewIngest(c IngestConfig) *Ingest {
	if c.Wants == nil {
		c.Wants = func(*journal.Event) (bool, error) { return true, nil }
	}
	return &Ingest{
		topic: c.Topic, position: c.Position, subscriber: c.Subscriber, wants: c.Wants, take: c.Take, memory: c.Memory,
		state: linkState{topic: c.Topic, logger: c.Logger, chance: c.Chance, untried: true,
			fails: oncelog.NewTries(c.Logger, "ingest", "topic", c.Topic)},
	}
}

// Link returns the state of the ingest.
func (i *Ingest) Link() Link { return i.state.link() }

// Run stores messages until ctx ends or the journal is closed, and then returns nil. After a failure of the transport
// Run retries, with growing pauses. Run returns an ErrReplaced when another process has taken over.
func (i *Ingest) Run(ctx context.Context) error {
	for {
		err := i.read(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, journal.ErrClosed):
			return nil
		case errors.Is(err, ErrReplaced):
			i.state.failed(err)
			return err
		case err == nil: // the transport closed the channel: the next Subscribe returns the reason
			continue
		}
		if !pause.For(ctx, i.state.failed(err)) {
			return nil
		}
	}
}

// read stores the messages of one Subscribe, until the channel closes.
func (i *Ingest) read(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx = WithReport(WithPosition(ctx, i.position), i.state.held)
	if i.memory != nil {
		ctx = WithMemory(ctx, i.memory)
	}
	messages, err := i.subscriber.Subscribe(ctx, i.topic)
	if err != nil {
		return err
	}
	defer func() {
		cancel()
		for range messages { // the transport delivers unacknowledged messages again
			continue
		}
	}()
	i.state.works()
	defer i.state.held(nil)
	for first := range messages {
		if err := i.store(ctx, gather(first, messages)); err != nil {
			return err
		}
	}
	pause.For(ctx, firstPause) // a transport may close channels as fast as it opens them
	return nil
}

// gather returns first and the messages that can be received without waiting.
func gather(first *message.Message, more <-chan *message.Message) []*message.Message {
	msgs := []*message.Message{first}
	for bytes := len(first.Payload); len(msgs) < ingestBatch && bytes < ingestBytes; {
		select {
		case msg, ok := <-more:
			if !ok {
				return msgs
			}
			msgs = append(msgs, msg)
			bytes += len(msg.Payload)
		default:
			return msgs
		}
	}
	return msgs
}

// sizeOf returns the size of msg in bytes.
func sizeOf(msg *message.Message) int {
	n := len(msg.Payload)
	for name, value := range msg.Metadata {
		n += len(name) + len(value)
	}
	return n
}

// store stores the events of msgs in the journal, and then acknowledges msgs. When the journal refuses, store
// retries, and acknowledges nothing meanwhile.
func (i *Ingest) store(ctx context.Context, msgs []*message.Message) error {
	var events []*journal.Event
	var of []*message.Message // the message of each event
	for _, msg := range msgs {
		e, err := Decode(msg)
		wanted := false
		if err == nil {
			wanted, err = i.wants(e)
		}
		switch {
		case err != nil:
			events, of = append(events, undecoded(i.topic, msg)), append(of, msg)
		case wanted:
			events, of = append(events, e), append(of, msg)
		}
	}
	if err := i.keep(ctx, events, of); err != nil {
		return err
	}
	for _, msg := range msgs {
		msg.Ack()
	}
	return nil
}

// aloneTries is the number of failed tries to store an event by itself before the ingest checks whether the event is
// the cause.
const aloneTries = 3

// keep stores events, which came from the messages of, and returns when all are stored. When the journal refuses them
// together, keep stores one event at a time, in order. An event that the journal refuses while taking others is stored
// as an undecoded message.
func (i *Ingest) keep(ctx context.Context, events []*journal.Event, of []*message.Message) error {
	for tries := 0; len(events) > 0; {
		taken, err := i.takeSome(ctx, events)
		if events, of = events[taken:], of[taken:]; taken > 0 {
			tries = 0
		}
		switch tries++; {
		case err == nil:
		case !i.mayRetry(ctx, err):
			return err
		case tries >= aloneTries && i.replace(ctx, events[0], of[0]):
			events, of, tries = events[1:], of[1:], 0
		case !pause.For(ctx, i.state.failed(fmt.Errorf("write the journal: %w", err))):
			return ctx.Err()
		}
	}
	i.state.works()
	return nil
}

// takeSome stores events together or, after a failure, one by one, and returns the number of stored events from the
// start.
func (i *Ingest) takeSome(ctx context.Context, events []*journal.Event) (taken int, err error) {
	if err = i.take(ctx, events); err == nil {
		return len(events), nil
	}
	if len(events) == 1 {
		return 0, err
	}
	for n := range events {
		if !i.mayRetry(ctx, err) {
			return n, err
		}
		if err = i.take(ctx, events[n:n+1]); err != nil {
			return n, err
		}
	}
	return len(events), nil
}

// mayRetry reports whether the ingest may retry after err.
func (i *Ingest) mayRetry(ctx context.Context, err error) bool {
	return ctx.Err() == nil && !errors.Is(err, journal.ErrClosed)
}

// replace stores, in place of e, an event about the refusal of e, and reports whether e needs no further tries.
// replace does nothing when the journal refuses even an empty commit, or when the journal takes e after all.
func (i *Ingest) replace(ctx context.Context, e *journal.Event, msg *message.Message) bool {
	if i.take(ctx, nil) != nil {
		return false
	}
	err := i.take(ctx, []*journal.Event{e})
	if err == nil {
		return true
	}
	if !i.mayRetry(ctx, err) {
		return false
	}
	small := message.NewMessage(msg.UUID, msg.Payload[:min(len(msg.Payload), keptWhole)])
	small.Metadata[MetaPosition] = msg.Metadata[MetaPosition]
	small.Metadata[MetaTrouble] = fmt.Sprintf("the journal refuses the message at %s, of %d bytes: %v;"+
		" if the message matters, remove the cause, and ask the sender to send the message again",
		msg.Metadata[MetaPosition], sizeOf(msg), err)
	if i.take(ctx, []*journal.Event{undecoded(i.topic, small)}) != nil {
		return false
	}
	i.state.logger.Error("the journal refuses a message: the reason is stored as a dead letter", slog.String("topic", i.topic),
		slog.String("position", msg.Metadata[MetaPosition]), slog.Int("bytes", sizeOf(msg)), slog.Any("error", err))
	return true
}

// keptWhole limits the part of the payload that is kept of a message that the journal refuses.
const keptWhole = 64 << 10

// metaTopic is the topic of an undecoded message.
const metaTopic = "_troupe_topic"

// undecoded returns the event that stands for msg. The id is the same at every delivery of the message. Another
// message, or another problem, at the same position has another id.
func undecoded(topic string, msg *message.Message) *journal.Event {
	sum := fnv.New64a()
	_, _ = sum.Write(msg.Payload) // a hash takes everything
	for _, name := range slices.Sorted(maps.Keys(msg.Metadata)) {
		_, _ = io.WriteString(sum, "\n"+name+"="+msg.Metadata[name])
	}
	id := fmt.Sprintf("%s#%016x", msg.Metadata[MetaPosition], sum.Sum64())
	if msg.Metadata[MetaPosition] == "" {
		id = msg.UUID
	}
	e := &journal.Event{
		ID: id, Type: UndecodedType, Version: 1, Source: "bus",
		Time: time.Now().UTC().Truncate(time.Microsecond), CorrelationID: id,
		Metadata: map[string]string{metaTopic: topic}, Data: msg.Payload,
	}
	for name, value := range msg.Metadata {
		e.Metadata[text(name)] = text(value)
	}
	return e
}

// text returns s in a form that any store keeps: bytes that are not UTF-8 become base64.
func text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return "base64:" + base64.StdEncoding.EncodeToString([]byte(s))
}

// Redecode decodes the message of e, an event of UndecodedType, once more. check gets the topic of the message and the
// decoded event; an error of check is an error of Redecode.
func Redecode(e *journal.Event, check func(topic string, e *journal.Event) error) (*journal.Event, error) {
	msg := message.NewMessage(e.ID, e.Data)
	for name, value := range e.Metadata {
		msg.Metadata[name] = value
	}
	decoded, err := Decode(msg)
	if err == nil {
		err = check(e.Metadata[metaTopic], decoded)
	}
	if err != nil {
		return nil, fmt.Errorf("message %s of topic %s: %w", e.Metadata[MetaPosition], e.Metadata[metaTopic], err)
	}
	return decoded, nil
}
