package wiretest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
)

// End is a process's connection to a Broker. The broker's mutex guards the fields.
type End struct {
	broker  *Broker
	group   string
	closed  bool
	cut     bool // only this process cannot reach the broker
	readers []*brokerReader
	running sync.WaitGroup // readers, and the goroutines of their messages
}

// Features reports no limit for payloads.
func (e *End) Features() wire.Features {
	return wire.Features{Name: "memory", Backend: fmt.Sprintf("memory %d", e.broker.number)}
}

// reachable returns an error if the broker cannot be reached. The caller holds the mutex.
func (e *End) reachable() error {
	switch {
	case e.closed:
		return errBrokerClosed
	case e.cut || e.broker.down:
		return errBrokerDown
	default:
		return nil
	}
}

// Publish accepts all messages or none.
func (e *End) Publish(topic string, messages ...*message.Message) error {
	e.broker.mu.Lock()
	defer e.broker.mu.Unlock()
	if err := e.reachable(); err != nil {
		return err
	}
	t := e.broker.topic(topic)
	for _, msg := range messages {
		r := brokerRecord{id: msg.UUID, key: wire.Key(msg), payload: slices.Clone(msg.Payload)}
		r.meta = maps.Clone(msg.Metadata)
		maps.DeleteFunc(r.meta, func(name, _ string) bool { return !wire.Sent(name) })
		t.append(r)
	}
	return nil
}

// Subscribe reads a topic for the group.
func (e *End) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.broker.mu.Lock()
	defer e.broker.mu.Unlock()
	if err := e.reachable(); err != nil {
		return nil, err
	}
	t := e.broker.topic(topic)
	g := t.group(wire.PositionName(ctx, e.group))
	if g.reader != nil {
		g.reader.stop()
	}
	r := &brokerReader{
		end: e, topic: t, group: g, next: g.positions,
		out: make(chan *message.Message), wake: make(chan struct{}, 1), over: make(chan struct{}),
	}
	g.reader = r
	e.readers = append(e.readers, r)
	e.running.Go(func() { r.run(ctx) })
	return r.out, nil
}

// Close closes the connection and all subscriptions. Earlier acknowledgements are kept.
func (e *End) Close() error {
	e.broker.mu.Lock()
	e.closed = true
	e.hangUp()
	e.broker.ends = slices.DeleteFunc(e.broker.ends, func(other *End) bool { return other == e })
	e.broker.mu.Unlock()
	e.running.Wait()
	return nil
}

// Partition cuts only this process off from the broker, or connects the process again.
func (e *End) Partition(away bool) {
	e.broker.mu.Lock()
	defer e.broker.mu.Unlock()
	e.cut = away
	if away {
		e.hangUp()
	}
}

// hangUp ends all subscriptions. The caller holds the mutex.
func (e *End) hangUp() {
	for _, r := range slices.Clone(e.readers) {
		r.stop()
	}
}
