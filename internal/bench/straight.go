package bench

import (
	"context"
	"errors"
	"strings"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	wkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
)

// protocol must be set by hand: with the version that watermill-kafka assumes, a group of sarama's receives nothing.
var protocol = sarama.V3_6_0_0

// durable has a producer's messages on all replicas, once each, before they count as sent: what a Transport promises.
func durable(c *sarama.Config) *sarama.Config {
	c.Version = protocol
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Producer.Return.Successes = true
	c.Net.MaxOpenRequests = 1 // sarama asks for it with Idempotent
	return c
}

// startStraight runs the flow straight on watermill-kafka. A flow's messages share a key, so that they stay in order, as an
// order's events do here. Each handler has a consumer group, so that none waits for the others to join.
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
	return workOnStraight(ctx, j, func(m *routed) (Figures, error) { return j.timed(ctx, flowsPerSecond, m.flows) })
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
