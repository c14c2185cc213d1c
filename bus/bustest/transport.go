package bustest

import (
	"context"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
)

// gatedTransport is a process's transport in an explored schedule: each event passes the gate when it is sent and
// when it arrives. Records for observers, and events without a consumer on the other side, do not pass the gate,
// since the moment of their delivery makes no difference.
type gatedTransport struct {
	bus.Transport
	life *life
}

// Publish implements message.Publisher. Publish sends one message after the other, so that a crash may happen between
// any two.
func (c *gatedTransport) Publish(topic string, messages ...*message.Message) error {
	for _, msg := range messages {
		e := decoded(msg)
		if topic == wire.RecordsTopic || e != nil && !c.life.consumersOf(e.Type).remote {
			if err := c.Transport.Publish(topic, msg); err != nil {
				return err
			}
		} else if err := c.send(topic, msg, e); err != nil {
			return err
		}
	}
	return nil
}

func (c *gatedTransport) send(topic string, msg *message.Message, e *journal.Event) error {
	st := newStep(stepSend, c.life.deployable.name)
	st.about, st.gone = e, c.life.stops
	defer close(st.done)
	decided, err := c.life.pass(st)
	if err != nil {
		return err
	}
	switch decided {
	case faultCrashBefore:
		c.life.die()
		return journal.ErrClosed
	case faultFails:
		return fmt.Errorf("%w: the broker", ErrUnavailable)
	}
	err = c.Transport.Publish(topic, msg)
	switch decided {
	case faultCrashAfter:
		c.life.die()
		return journal.ErrClosed
	case faultLoses:
		return fmt.Errorf("%w: of the broker", ErrNoAnswer)
	}
	return err
}

// Subscribe implements message.Subscriber.
func (c *gatedTransport) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	in, err := c.Transport.Subscribe(ctx, topic)
	if err != nil {
		return nil, err
	}
	a := &arrivals{
		life: c.life, out: make(chan *message.Message), over: make(chan struct{}),
		lines: map[string][]*message.Message{},
	}
	go a.run(in)
	return a.out, nil
}

// arrivals are the messages of a topic on their way in. Messages with the same key keep their order, and each waits for
// its turn.
type arrivals struct {
	life    *life
	out     chan *message.Message
	over    chan struct{} // closed after the last message
	handing sync.WaitGroup

	mu    sync.Mutex
	lines map[string][]*message.Message // by key, the waiting messages, in order
}

func (a *arrivals) run(in <-chan *message.Message) {
	defer close(a.out)
	for msg := range in {
		key := wire.Key(msg)
		if key == "" {
			key = msg.Metadata[wire.MetaPosition] // no order is required
		}
		a.mu.Lock()
		a.lines[key] = append(a.lines[key], msg)
		first := len(a.lines[key]) == 1
		a.mu.Unlock()
		if first {
			a.handing.Go(func() { a.handAll(key, msg) })
		}
	}
	close(a.over)
	a.handing.Wait()
}

// handAll passes on the messages of a key, msg first.
func (a *arrivals) handAll(key string, msg *message.Message) {
	for msg != nil && a.hand(msg) {
		a.mu.Lock()
		line := a.lines[key][1:]
		if msg = nil; len(line) > 0 {
			msg = line[0]
		}
		a.lines[key] = line
		a.mu.Unlock()
	}
}

// hand passes msg on at its turn, perhaps twice, and waits for the acknowledgement. hand returns false if the
// subscription or the process ends first.
func (a *arrivals) hand(msg *message.Message) bool {
	e := decoded(msg)
	if e != nil && a.life.consumersOf(e.Type) != (consumers{}) && !a.life.consumersOf(e.Type).local {
		return a.give(msg) // the ingest acknowledges and skips the event
	}
	st := newStep(stepTake, a.life.deployable.name)
	st.about, st.message, st.gone = e, msg.Metadata[wire.MetaPosition], a.over
	defer close(st.done)
	decided, err := a.life.pass(st)
	if err != nil {
		return false
	}
	a.life.arriving.Store(&decided) // the journal's commit is a part of this step
	defer a.life.arriving.Store(nil)
	again := msg.Copy()
	again.SetContext(msg.Context())
	return a.give(msg) && (decided != faultTwice || a.give(again))
}

func (a *arrivals) give(msg *message.Message) bool {
	select {
	case a.out <- msg:
	case <-a.over:
		return false
	}
	select {
	case <-msg.Acked():
		return true
	case <-msg.Nacked():
		return true // msg comes again
	case <-a.over:
		return false
	case <-a.life.dead:
		return false
	}
}

// decoded returns the event in msg, or nil.
func decoded(msg *message.Message) *journal.Event {
	e, err := wire.Decode(msg)
	if err != nil {
		return nil
	}
	return e
}
