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
	"github.com/troupebus/troupe/internal/pause"
)

// What an ingest takes in at once.
const (
	ingestBatch = 2000
	ingestBytes = 8 << 20
)

// UndecodedType is the type of the event that stands for a message that is no event: its payload is the message's, its
// metadata are the message's, and Redecode tries once more.
const UndecodedType = "bus.undecoded"

// Ingest takes in the messages of one topic: what it acknowledges is in the journal, once.
type Ingest struct {
	topic      string
	place      string
	subscriber message.Subscriber
	wants      func(*journal.Event) (bool, error)
	take       func(context.Context, []*journal.Event) error
	memory     journal.Memory
	line       line
}

// IngestConfig is what an Ingest needs. All fields but Place, Wants, Memory and Chance are required.
type IngestConfig struct {
	Topic      string
	Place      string // the name of the place in the topic; whoever wants more than before gives it another one
	Subscriber message.Subscriber
	// Wants says whether an event is to be taken in. One that is not is acknowledged, and nothing else is done about it; one that
	// must not be taken in, with an error, is taken in as a message that is no event. Defaults to all of them.
	Wants func(*journal.Event) (bool, error)
	// Take makes events durable, all or none of them, in their order, leaving out those whose id it has.
	Take func(context.Context, []*journal.Event) error
	// Memory is where the journal notes how far it has read. Defaults to none: then the transport alone knows.
	Memory journal.Memory
	Logger *slog.Logger
	// Chance draws a number from [0, 1), for the jitter of the pauses. Defaults to that of math/rand/v2.
	Chance func() float64
}

// NewIngest makes an ingest. It does nothing before Run.
func NewIngest(c IngestConfig) *Ingest {
	if c.Wants == nil {
		c.Wants = func(*journal.Event) (bool, error) { return true, nil }
	}
	return &Ingest{
		topic: c.Topic, place: c.Place, subscriber: c.Subscriber, wants: c.Wants, take: c.Take, memory: c.Memory,
		line: line{topic: c.Topic, logger: c.Logger, chance: c.Chance, young: true},
	}
}

// Link is how the ingest is.
func (i *Ingest) Link() Link { return i.line.link() }

// Run takes in messages until ctx ends, which is no error, or the journal is closed. A transport in trouble is tried again,
// with longer and longer pauses. It returns ErrReplaced when another process has taken over.
func (i *Ingest) Run(ctx context.Context) error {
	for {
		err := i.read(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, journal.ErrClosed):
			return nil
		case errors.Is(err, ErrReplaced):
			i.line.failed(err)
			return err
		case err == nil: // the transport closed the channel: asked again, it says why
			continue
		}
		if !pause.For(ctx, i.line.failed(err)) {
			return nil
		}
	}
}

// read takes in what one subscription delivers until it ends.
func (i *Ingest) read(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx = WithReport(WithPosition(ctx, i.place), i.line.held)
	if i.memory != nil {
		ctx = WithMemory(ctx, i.memory)
	}
	messages, err := i.subscriber.Subscribe(ctx, i.topic)
	if err != nil {
		return err
	}
	defer func() {
		cancel()
		for range messages { // they come again
			continue
		}
	}()
	i.line.works()
	defer i.line.held(nil)
	for first := range messages {
		if err := i.takeIn(ctx, gather(first, messages)); err != nil {
			return err
		}
	}
	pause.For(ctx, firstPause) // a transport may close channels as fast as it opens them
	return nil
}

// gather adds to first what is there already.
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

// sizeOf is how many bytes msg has.
func sizeOf(msg *message.Message) int {
	n := len(msg.Payload)
	for name, value := range msg.Metadata {
		n += len(name) + len(value)
	}
	return n
}

// takeIn has the journal take what msgs carry, and acknowledges them then. A journal that refuses is tried again: nothing is
// acknowledged in the meantime.
func (i *Ingest) takeIn(ctx context.Context, msgs []*message.Message) error {
	var events []*journal.Event
	var of []*message.Message // of each event
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

// aloneTries is how often an event is refused by itself before it is found out whether that is its own fault.
const aloneTries = 3

// keep returns when the journal has events, which are those of the messages of. When it does not take them together, it gets them one
// by one, in their order. One that it does not take by itself, though it takes others, is kept as a message that is no event.
func (i *Ingest) keep(ctx context.Context, events []*journal.Event, of []*message.Message) error {
	for tries := 0; len(events) > 0; {
		taken, err := i.takeSome(ctx, events)
		if events, of = events[taken:], of[taken:]; taken > 0 {
			tries = 0
		}
		switch tries++; {
		case err == nil:
		case !i.goesOn(ctx, err):
			return err
		case tries >= aloneTries && i.standIn(ctx, events[0], of[0]):
			events, of, tries = events[1:], of[1:], 0
		case !pause.For(ctx, i.line.failed(fmt.Errorf("write the journal: %w", err))):
			return ctx.Err()
		}
	}
	i.line.works()
	return nil
}

// takeSome has the journal take events, together or else one by one, and returns how many it has, which are the first ones.
func (i *Ingest) takeSome(ctx context.Context, events []*journal.Event) (taken int, err error) {
	if err = i.take(ctx, events); err == nil {
		return len(events), nil
	}
	if len(events) == 1 {
		return 0, err
	}
	for n := range events {
		if !i.goesOn(ctx, err) {
			return n, err
		}
		if err = i.take(ctx, events[n:n+1]); err != nil {
			return n, err
		}
	}
	return len(events), nil
}

// goesOn reports whether err, of a try to take events, leaves anything to be tried.
func (i *Ingest) goesOn(ctx context.Context, err error) bool {
	return ctx.Err() == nil && !errors.Is(err, journal.ErrClosed)
}

// standIn has the journal take, instead of e, what says that it does not take e, and reports whether it has. It does not try when
// the journal takes nothing at all, or takes e now.
func (i *Ingest) standIn(ctx context.Context, e *journal.Event, msg *message.Message) bool {
	if i.take(ctx, nil) != nil {
		return false
	}
	err := i.take(ctx, []*journal.Event{e})
	if err == nil {
		return true
	}
	if !i.goesOn(ctx, err) {
		return false
	}
	small := message.NewMessage(msg.UUID, msg.Payload[:min(len(msg.Payload), keptWhole)])
	small.Metadata[MetaPosition] = msg.Metadata[MetaPosition]
	small.Metadata[MetaTrouble] = fmt.Sprintf("the journal does not take the message at %s, of %d bytes: %v; if it matters, have its sender send it again when that is mended",
		msg.Metadata[MetaPosition], sizeOf(msg), err)
	if i.take(ctx, []*journal.Event{undecoded(i.topic, small)}) != nil {
		return false
	}
	i.line.logger.Error("the journal does not take a message, and keeps what there is to say of it as a dead letter", slog.String("topic", i.topic),
		slog.String("place", msg.Metadata[MetaPosition]), slog.Int("bytes", sizeOf(msg)), slog.Any("error", err))
	return true
}

// keptWhole is how much is kept of a message that the journal does not take as it is.
const keptWhole = 64 << 10

// metaTopic is where an undecoded message came from.
const metaTopic = "_troupe_topic"

// undecoded is the event that stands for msg. Its id is the same whenever the message is delivered, and another one for another
// message, or other trouble, in the same place.
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
		ID: id, Type: UndecodedType, Version: 1, Source: "bus", Time: time.Now().UTC().Truncate(time.Microsecond), CorrelationID: id,
		Metadata: map[string]string{metaTopic: topic}, Data: msg.Payload,
	}
	for name, value := range msg.Metadata {
		e.Metadata[text(name)] = text(value)
	}
	return e
}

// text is s in a form that any store keeps: what is not text is shown as base64.
func text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return "base64:" + base64.StdEncoding.EncodeToString([]byte(s))
}

// Redecode tries to decode the message that e, of UndecodedType, stands for, and has check look at what it is, and at whose topic
// it was on.
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
