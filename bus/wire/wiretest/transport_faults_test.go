package wiretest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
)

// faults are ways to break a promise, and what must be in the error of its check.
var faults = []struct {
	name    string
	promise string
	says    string
	fault   func(f *faulty)
}{
	{"it has no name", "features", "want a name", func(f *faulty) { f.features.Name = "" }},

	{"every 100th message is dropped", "order per key under concurrency", "is lost",
		drop(func(f *faulty, _ *message.Message) bool { return f.count.Add(1)%100 == 0 })},
	{"a batch is reordered", "order per key under concurrency", "was overtaken", reorder},
	{"the last message is dropped", "every group reads every message", "missing 1 message",
		drop(func(_ *faulty, msg *message.Message) bool { return msg.UUID == letterID("b", 39) })},
	{"groups have one position", "every group reads every message", "missing", func(f *faulty) { f.group = "everybody" }},
	{"a deployable has one position", "every group reads every message", "another position of the first group", func(f *faulty) {
		f.subscribe = func(ctx context.Context, topic string) (<-chan *message.Message, error) {
			return f.End.Subscribe(wire.WithPosition(ctx, ""), topic)
		}
	}},
	{"a group starts at the newest message", "every group reads every message", "group second: no message", startAtTheEnd},
	{"it waits for each answer", "delivery does not wait for acknowledgement", "without an acknowledgement", waitForAnswers},
	{"a nack is an ack", "a nacked message comes again", "missing 3 messages", waitForAnswers},
	{"a position differs each time", "a nacked message comes again", "comes again from", alter(otherPositions)},

	{"the position is forgotten", "the position outlives the process", "the position is lost",
		func(f *faulty) { f.group += strconv.FormatInt(f.count.Add(1), 10) }},
	{"a nack is never over", "a nacked message comes again", "the position is lost", holes},
	{"positions are all one", "order per key under concurrency", "want a unique",
		alter(func(_ *faulty, msg *message.Message) { msg.Metadata[wire.MetaPosition] = "here" })},
	{"a bare key is no key", "order per key under concurrency", "has the key", forgetBareKeys},
	{"the position is forgotten", "the position outlives the subscription", "the position is lost", forgetAtSubscribe},
	{"all is acknowledged", "the position outlives the process", "is lost", acknowledgeAll},
	{"all is acknowledged", "the position outlives a process that dies", "is lost", acknowledgeAll},
	{"all is acknowledged", "the position outlives a process that vanishes", "is lost", acknowledgeAll},
	{"all is acknowledged", "the position outlives the subscription", "is lost", acknowledgeAll},
	{"a context does not count", "the position outlives the subscription", "is still open", ignoreContext},

	{"the rear half of what is refused is taken", "a publisher that is closed can be repeated", "was overtaken", takeRear},
	{"the rear half of what is refused is taken", "a publisher that dies can be repeated", "was overtaken", takeRear},
	{"a call that was closed returned nil", "a publisher that is closed can be repeated", "key-", sayYes(errBrokerClosed)},
	{"a call that was cut off returned nil", "a publisher that dies can be repeated", "key-", sayYes(errBrokerDown)},

	{"binary is mangled", "attributes and bytes arrive as they were sent", "its bytes became",
		alter(func(_ *faulty, msg *message.Message) { msg.Payload = bytes.ToValidUTF8(msg.Payload, []byte("?")) })},
	{"empty headers are dropped", "attributes and bytes arrive as they were sent", "its metadata became", alter(dropEmpty)},
	{"keys are trimmed", "attributes and bytes arrive as they were sent", "its key became",
		alter(func(_ *faulty, msg *message.Message) { msg.Metadata[wire.MetaKey] = strings.TrimSpace(wire.Key(msg)) })},
	{"the transport's metadata are sent", "attributes and bytes arrive as they were sent", "it has a " + wire.MetaTrouble, sendTrouble},
	{"less is taken than is promised", "a payload of the greatest size", "which MaxPayload allows", promiseTooMuch},
	{"too much is refused, but not by its index", "a payload of the greatest size", "want a wire.Refused with its index", refuseFirst},
	{"too much is cut", "a payload of the greatest size", "became 1000 bytes", cutPayload},

	{"ids are made up", "messages of other programs arrive unchanged", "changed when delivered again",
		alter(func(f *faulty, msg *message.Message) {
			if strings.HasPrefix(msg.UUID, "order/") {
				msg.UUID = strconv.FormatInt(f.count.Add(1), 10)
			}
		})},
	{"what is no event is dropped", "messages of other programs arrive unchanged", "read 6 of",
		drop(func(_ *faulty, msg *message.Message) bool { _, err := wire.Decode(msg); return err != nil })},
	{"null is an empty object", "messages of other programs arrive unchanged", "a null payload: its bytes became",
		alter(func(_ *faulty, msg *message.Message) {
			if msg.Payload == nil {
				msg.Payload = []byte("{}")
			}
		})},

	{"a goroutine stays", "closing with work in flight", "goroutines too many",
		func(f *faulty) { f.shut = func() error { go func() { <-f.forever }(); return f.End.Close() } }},
	{"Close hangs", "closing with work in flight", "Close has not returned",
		func(f *faulty) { f.shut = func() error { <-f.forever; return f.End.Close() } }},
	{"Close hangs", "closing while the backend is away", "Close has not returned", hangWhileAway},
	{"Close does not wait", "closing with work in flight", "before the channel", closeLater},
	{"closing twice is an error", "closing with work in flight", "a second Close", closeOnce},
	{"it subscribes when it is closed", "closing with work in flight", "Subscribe after Close", subscribeClosed},
	{"it publishes when it is closed", "closing with work in flight", "Publish after Close", publishClosed},

	{"it publishes into the void", "the backend refuses and comes back", "returned nil while", publishAway},
	{"a goroutine stays at each try", "the backend refuses and comes back", "after 20 tries to subscribe", leakTries},
	{"it never recovers", "the backend refuses and comes back", "since the backend has come back", neverRecover},
	{"it never gives up", "the backend is silent and comes back", "Publish has not returned", hangPublish},
}

// drop acknowledges some messages instead of delivering them.
func drop(which func(f *faulty, msg *message.Message) bool) func(*faulty) {
	return func(f *faulty) {
		f.deliver = func(_ context.Context, msg *message.Message, hand func(*message.Message)) {
			if which(f, msg) {
				msg.Ack()
				return
			}
			hand(msg)
		}
	}
}

// alter changes messages before they are delivered.
func alter(change func(f *faulty, msg *message.Message)) func(*faulty) {
	return func(f *faulty) {
		f.deliver = func(_ context.Context, msg *message.Message, hand func(*message.Message)) {
			change(f, msg)
			hand(msg)
		}
	}
}

func otherPositions(f *faulty, msg *message.Message) {
	msg.Metadata[wire.MetaPosition] = strconv.FormatInt(f.count.Add(1), 10)
}

func dropEmpty(_ *faulty, msg *message.Message) {
	for name, value := range msg.Metadata {
		if value == "" {
			delete(msg.Metadata, name)
		}
	}
}

func acknowledgeAll(f *faulty) {
	f.deliver = func(_ context.Context, msg *message.Message, hand func(*message.Message)) {
		c := msg.Copy()
		msg.Ack()
		hand(c)
	}
}

// waitForAnswers delivers one message at a time, whatever the answer to the one before was.
func waitForAnswers(f *faulty) {
	f.deliver = func(ctx context.Context, msg *message.Message, hand func(*message.Message)) {
		c := msg.Copy()
		hand(c)
		select {
		case <-c.Acked():
			msg.Ack()
		case <-c.Nacked():
			msg.Ack()
		case <-ctx.Done():
		case <-f.over:
		}
	}
}

func reorder(f *faulty) {
	f.publish = func(topic string, messages []*message.Message) error {
		if len(messages) > 50 {
			messages[10], messages[20] = messages[20], messages[10]
		}
		return f.End.Publish(topic, messages...)
	}
}

func startAtTheEnd(f *faulty) {
	f.subscribe = func(ctx context.Context, topic string) (<-chan *message.Message, error) {
		f.broker.mu.Lock()
		if t := f.broker.topic(topic); t.groups[f.group] == nil {
			for p, records := range t.partitions {
				t.group(f.group).positions[p] = len(records)
			}
		}
		f.broker.mu.Unlock()
		return f.End.Subscribe(ctx, topic)
	}
}

func forgetAtSubscribe(f *faulty) {
	f.subscribe = func(ctx context.Context, topic string) (<-chan *message.Message, error) {
		f.group += "+"
		return f.End.Subscribe(ctx, topic)
	}
}

func ignoreContext(f *faulty) {
	f.subscribe = func(_ context.Context, topic string) (<-chan *message.Message, error) {
		return f.End.Subscribe(context.Background(), topic)
	}
}

func takeRear(f *faulty) {
	f.publish = func(topic string, messages []*message.Message) error {
		err := f.End.Publish(topic, messages...)
		if err != nil {
			for _, msg := range messages[len(messages)/2:] {
				f.broker.Write(topic, []byte(wire.Key(msg)), msg.Metadata, msg.Payload)
			}
		}
		return err
	}
}

// sayYes forgets an error once.
func sayYes(to error) func(*faulty) {
	return func(f *faulty) {
		f.publish = func(topic string, messages []*message.Message) error {
			err := f.End.Publish(topic, messages...)
			if errors.Is(err, to) && f.count.CompareAndSwap(0, 1) {
				return nil
			}
			return err
		}
	}
}

func sendTrouble(f *faulty) {
	f.publish = func(topic string, messages []*message.Message) error {
		for _, msg := range messages {
			msg.Metadata["trouble"] = msg.Metadata[wire.MetaTrouble]
		}
		return f.End.Publish(topic, messages...)
	}
	alter(func(_ *faulty, msg *message.Message) {
		if trouble := msg.Metadata["trouble"]; trouble != "" {
			msg.Metadata[wire.MetaTrouble] = trouble
		}
		delete(msg.Metadata, "trouble")
	})(f)
}

func promiseTooMuch(f *faulty) {
	f.features.MaxPayload = 1000
	f.publish = func(topic string, messages []*message.Message) error {
		if len(messages[0].Payload) > 999 {
			return errors.New("too large")
		}
		return f.End.Publish(topic, messages...)
	}
}

func refuseFirst(f *faulty) {
	f.features.MaxPayload = 1000
	f.publish = func(topic string, messages []*message.Message) error {
		if slices.ContainsFunc(messages, func(msg *message.Message) bool { return len(msg.Payload) > 1000 }) {
			return &wire.Refused{Err: errors.New("too large")}
		}
		return f.End.Publish(topic, messages...)
	}
}

func cutPayload(f *faulty) {
	f.features.MaxPayload = 1000
	f.publish = func(topic string, messages []*message.Message) error {
		for _, msg := range messages {
			msg.Payload = msg.Payload[:min(1000, len(msg.Payload))]
		}
		return f.End.Publish(topic, messages...)
	}
}

func hangWhileAway(f *faulty) {
	f.shut = func() error {
		if f.End.Publish("payment") != nil { // nothing, but it notices
			<-f.forever
		}
		return f.End.Close()
	}
}

func closeLater(f *faulty) {
	f.hasty = true
	f.shut = func() error {
		go func() {
			select {
			case <-time.After(time.Second):
			case <-f.forever:
			}
			_ = f.End.Close() // never fails
		}()
		return nil
	}
}

func closeOnce(f *faulty) {
	f.shut = func() error {
		if f.Publish("payment") != nil { // nothing, but it notices
			return errors.New("closed already")
		}
		return f.End.Close()
	}
}

func subscribeClosed(f *faulty) {
	f.subscribe = func(ctx context.Context, topic string) (<-chan *message.Message, error) {
		in, err := f.End.Subscribe(ctx, topic)
		if errors.Is(err, errBrokerClosed) {
			closed := make(chan *message.Message)
			close(closed)
			return closed, nil
		}
		return in, err
	}
}

func publishClosed(f *faulty) {
	f.publish = func(topic string, messages []*message.Message) error {
		err := f.End.Publish(topic, messages...)
		if topic == "order" && errors.Is(err, errBrokerClosed) {
			return nil
		}
		return err
	}
}

func publishAway(f *faulty) {
	f.publish = func(topic string, messages []*message.Message) error {
		err := f.End.Publish(topic, messages...)
		if errors.Is(err, errBrokerDown) {
			return nil
		}
		return err
	}
}

func leakTries(f *faulty) {
	f.subscribe = func(ctx context.Context, topic string) (<-chan *message.Message, error) {
		in, err := f.End.Subscribe(ctx, topic)
		if err != nil {
			go func() { <-f.forever }()
		}
		return in, err
	}
}

func neverRecover(f *faulty) {
	f.publish = func(topic string, messages []*message.Message) error {
		err := f.End.Publish(topic, messages...)
		if f.count.Load() > 0 || errors.Is(err, errBrokerDown) {
			f.count.Store(1)
			return errBrokerDown
		}
		return err
	}
}

func hangPublish(f *faulty) {
	f.publish = func(topic string, messages []*message.Message) error {
		err := f.End.Publish(topic, messages...)
		if errors.Is(err, errBrokerDown) {
			<-f.forever
		}
		return err
	}
}

// holes delivers what was nacked as another message, and never says that the first one is done.
func holes(f *faulty) {
	f.deliver = func(ctx context.Context, msg *message.Message, hand func(*message.Message)) {
		c := msg.Copy()
		hand(c)
		f.running.Go(func() {
			for {
				select {
				case <-c.Acked():
					if f.count.Load() > 0 {
						return
					}
					msg.Ack()
				case <-c.Nacked():
					f.count.Store(1)
					c = msg.Copy()
					hand(c)
					continue
				case <-ctx.Done():
				case <-f.over:
				}
				return
			}
		})
	}
}

func forgetBareKeys(f *faulty) {
	f.publish = func(topic string, messages []*message.Message) error {
		for _, msg := range messages {
			delete(msg.Metadata, wire.MetaKey)
		}
		return f.End.Publish(topic, messages...)
	}
}
