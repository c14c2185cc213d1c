package work

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
)

// correlationID is the metadata key of a message.
const correlationID = "correlation_id"

// routed runs the flow straight on Watermill: on a Router, a Publisher and Subscribers, without storage.
type routed struct {
	publisher message.Publisher
	prefix    string // prefix of topics; the rest of a topic's name is the event type
	router    *message.Router
	ended     chan error
	gate      gate
	ends      *ends
}

// pubSub is the backend of a routed flow.
type pubSub struct {
	publisher  message.Publisher
	subscriber func(handler string) (message.Subscriber, error)
}

// startRouted starts the flow for job j. The caller closes the flow; close also closes the publisher.
func startRouted(ctx context.Context, j Job, on pubSub) (*routed, error) {
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return nil, err
	}
	m := &routed{publisher: on.publisher, router: router, ended: make(chan error, 1), gate: newGate(j.InFlight),
		ends: newEnds(j.all())}
	if j.Prefix != "" {
		m.prefix = j.Prefix + "."
	}
	err = errors.Join(
		forward(m, on, "reserve", func(e placed) reserved { return reserved(e) }),
		forward(m, on, "charge", func(e reserved) charged { return charged(e) }),
		forward(m, on, "dispatch", func(e charged) dispatched { return dispatched(e) }),
		forward(m, on, "complete", func(e dispatched) completed { return completed(e) }),
		forward(m, on, "tell", func(e completed) notified { return notified(e) }),
	)
	if err != nil {
		return nil, err
	}
	go func() { m.ended <- router.Run(ctx) }()
	select {
	case <-router.Running():
		return m, nil
	case err := <-m.ended:
		return nil, err
	}
}

func (m *routed) close() error { return errors.Join(m.router.Close(), m.publisher.Close(), <-m.ended) }

// forward adds a reaction: it decodes an event, and publishes the next event.
func forward[In, Out event](m *routed, on pubSub, name string, next func(In) Out) error {
	var in In
	subscriber, err := on.subscriber(name)
	if err != nil {
		return err
	}
	m.router.AddConsumerHandler(name, m.prefix+in.EventType(), subscriber, func(msg *message.Message) error {
		var e In
		if err := json.Unmarshal(msg.Payload, &e); err != nil {
			return err
		}
		out := next(e)
		if err := m.publish(out, msg.Metadata.Get(correlationID)); err != nil {
			return err
		}
		if last, ok := any(out).(notified); ok {
			m.gate.leave()
			m.ends.note(last.order)
		}
		return nil
	})
	return nil
}

// publish publishes e as a message. An empty flow starts a new flow.
func (m *routed) publish(e event, flow string) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	msg := message.NewMessage(watermill.NewUUID(), data)
	if flow == "" {
		flow = msg.UUID
	}
	msg.Metadata.Set(correlationID, flow)
	return m.publisher.Publish(m.prefix+e.EventType(), msg)
}

// flows publishes l, waits until the last reaction has returned, and returns the time.
func (m *routed) flows(ctx context.Context, l load) (time.Duration, error) {
	m.ends.expect(l.n)
	started := time.Now()
	err := l.publish(ctx, m.gate, func(_ context.Context, o order) error { return m.publish(placed{o}, "") })
	if err != nil {
		return 0, err
	}
	if err := m.ends.wait(ctx); err != nil {
		return 0, err
	}
	return time.Since(started), nil
}

// one runs a single flow, and returns the time until the last reaction has published.
func (m *routed) one(ctx context.Context, n int64) (time.Duration, error) {
	m.ends.expect(1)
	o := newOrder(n)
	started := time.Now()
	if err := m.publish(placed{o}, ""); err != nil {
		return 0, err
	}
	if err := m.ends.wait(ctx); err != nil {
		return 0, err
	}
	return time.Since(started), nil
}

// check returns an error unless all flows of j have ended.
func (m *routed) check(j Job) error {
	if got := m.ends.ended.Load(); got != j.all() {
		return fmt.Errorf("%d flows ended, want %d", got, j.all())
	}
	return nil
}
