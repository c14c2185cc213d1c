package work

import (
	"context"
	"errors"
	"strings"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	wkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
)

// protocol must be set: with watermill-kafka's default version, a consumer group of sarama receives no message.
var protocol = sarama.V3_6_0_0

// durable makes a producer wait until a message is on all replicas, exactly once, as a Transport does.
func durable(c *sarama.Config) *sarama.Config {
	c.Version = protocol
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Producer.Return.Successes = true
	c.Net.MaxOpenRequests = 1 // required by sarama for Idempotent
	return c
}

// startStraight starts the flow straight on watermill-kafka. The messages of a flow share a key, so that the messages
// stay in order like the events of an order. Each handler has a consumer group of its own, so that no handler waits
// until the others have joined.
func startStraight(ctx context.Context, j Job) (*routed, error) {
	brokers := strings.Split(j.Brokers, ",")
	marshaler := wkafka.NewWithPartitioningMarshaler(func(_ string, msg *message.Message) (string, error) {
		return msg.Metadata.Get(correlationID), nil
	})
	publisher, err := wkafka.NewPublisher(wkafka.PublisherConfig{
		Brokers: brokers, Marshaler: marshaler, OverwriteSaramaConfig: durable(wkafka.DefaultSaramaSyncPublisherConfig()),
	}, watermill.NopLogger{})
	if err != nil {
		return nil, err
	}
	subscriber := func(handler string) (message.Subscriber, error) {
		c := wkafka.DefaultSaramaSubscriberConfig()
		c.Version, c.Consumer.Offsets.Initial = protocol, sarama.OffsetOldest
		return wkafka.NewSubscriber(wkafka.SubscriberConfig{
			Brokers: brokers, Unmarshaler: marshaler, ConsumerGroup: j.Prefix + "." + handler, OverwriteSaramaConfig: c,
		}, watermill.NopLogger{})
	}
	m, err := startRouted(ctx, j, pubSub{publisher, subscriber})
	if err != nil {
		return nil, errors.Join(err, publisher.Close())
	}
	return m, nil
}

func workStraight(ctx context.Context, j Job) (Figures, error) {
	return workOnStraight(ctx, j, func(m *routed) (Figures, error) { return j.timed(ctx, FlowsPerSecond, m.flows) })
}

func workStraightLatency(ctx context.Context, j Job) (Figures, error) {
	return workOnStraight(ctx, j, func(m *routed) (Figures, error) { return j.latencies(ctx, m.one) })
}

func workOnStraight(ctx context.Context, j Job, measure func(*routed) (Figures, error)) (f Figures, err error) {
	m, err := startStraight(ctx, j)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	if f, err = measure(m); err != nil {
		return nil, err
	}
	return f, m.check(j)
}
