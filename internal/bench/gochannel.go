package bench

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
)

const (
	// channelBuffer is a size that GoChannel is fastest with: measured, 15 % above the default of 0, and no more behind it.
	channelBuffer = 1024

	// correlationID is what a message carries beside its payload.
	correlationID = "correlation_id"
)

// inMemory is the flow on Watermill's GoChannel.
type inMemory struct {
	channel *gochannel.GoChannel
	router  *message.Router
	ended   chan error
	gate    gate
	ran     atomic.Int64 // last reactions
	goal    atomic.Int64
	reached chan struct{}
}

// startInMemory runs the flow on a Router. Whoever starts it closes it.
func startInMemory(ctx context.Context, inFlight int) (*inMemory, error) {
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return nil, err
	}
	m := &inMemory{
		channel: gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: channelBuffer}, watermill.NopLogger{}),
		router:  router, ended: make(chan error, 1), gate: newGate(inFlight), reached: make(chan struct{}, 1),
	}
	forward(m, "reserve", func(e placed) reserved { return reserved(e) })
	forward(m, "charge", func(e reserved) charged { return charged(e) })
	forward(m, "dispatch", func(e charged) dispatched { return dispatched(e) })
	forward(m, "complete", func(e dispatched) completed { return completed(e) })
	forward(m, "tell", func(e completed) told { return told(e) })
	go func() { m.ended <- router.Run(ctx) }()
	select {
	case <-router.Running():
		return m, nil
	case err := <-m.ended:
		return nil, err
	}
}

func (m *inMemory) close() error { return errors.Join(m.router.Close(), m.channel.Close(), <-m.ended) }

// forward adds a reaction: it decodes an event, and publishes the next.
func forward[In, Out event](m *inMemory, name string, next func(In) Out) {
	var in In
	m.router.AddConsumerHandler(name, in.EventType(), m.channel, func(msg *message.Message) error {
		var e In
		if err := json.Unmarshal(msg.Payload, &e); err != nil {
			return err
		}
		out := next(e)
		if err := m.publish(out, msg.Metadata.Get(correlationID)); err != nil {
			return err
		}
		if _, last := any(out).(told); last {
			m.finished()
		}
		return nil
	})
}

func (m *inMemory) finished() {
	m.gate.leave()
	if m.ran.Add(1) == m.goal.Load() {
		m.reached <- struct{}{}
	}
}

// publish makes a message of e. Without a flow it starts one.
func (m *inMemory) publish(e event, flow string) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	msg := message.NewMessage(watermill.NewUUID(), data)
	if flow == "" {
		flow = msg.UUID
	}
	msg.Metadata.Set(correlationID, flow)
	return m.channel.Publish(e.EventType(), msg)
}

// flows publishes l, waits until the last reaction has returned, and returns how long that took.
func (m *inMemory) flows(ctx context.Context, l load) (time.Duration, error) {
	m.goal.Add(l.n)
	started := time.Now()
	err := l.publish(ctx, m.gate, func(_ context.Context, o order) error { return m.publish(placed{o}, "") })
	if err != nil {
		return 0, err
	}
	select {
	case <-m.reached:
		return time.Since(started), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
