package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/troupebus/troupe/bus"
)

// partitions is how many each topic has, on all sides.
const partitions = 6

// workBroker is a service: a broker that keeps everything in memory.
func workBroker(ctx context.Context, j Job) (Figures, error) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return Figures{}, j.announce(ctx, strings.Join(c.ListenAddrs(), ","))
}

// cluster makes and removes what jobs need of a Kafka.
type cluster struct {
	client sarama.Client
	admin  sarama.ClusterAdmin
}

func connect(brokers string) (*cluster, error) {
	cfg := sarama.NewConfig()
	cfg.Version = protocol
	client, err := sarama.NewClient(strings.Split(brokers, ","), cfg)
	if err != nil {
		return nil, fmt.Errorf("reach Kafka at %s, check that it runs and that this is its address: %w", brokers, err)
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("administer Kafka at %s: %w", brokers, err), client.Close())
	}
	return &cluster{client, admin}, nil
}

func (c *cluster) close() error { return c.admin.Close() } // and the client with it

// topics are those that the worker of j uses.
func (j Job) topics() (names []string) {
	switch j.Worker {
	case "kafka", "kafka-latency":
		names = []string{mainModule, peerModule, bus.RecordsTopic}
	case "watermill", "watermill-latency":
		for _, s := range bareSteps {
			names = append(names, s.eventType)
		}
	case "relay", "send", "ingest":
		names = []string{mainModule}
	}
	for i := range names {
		names[i] = j.Prefix + "." + names[i]
	}
	return names
}

// prepare makes the topics of j, and returns when each of their partitions has a leader: one that was made a moment ago refuses
// to be used.
func (c *cluster) prepare(ctx context.Context, j Job) error {
	for _, name := range j.topics() {
		detail := &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: -1}
		if err := c.admin.CreateTopic(name, detail, false); err != nil {
			return fmt.Errorf("make topic %s: %w", name, err)
		}
	}
	for _, name := range j.topics() {
		for {
			led, err := c.led(name)
			if led {
				break
			}
			if stop := stay(ctx, 20*time.Millisecond); stop != nil {
				return errors.Join(fmt.Errorf("topic %s has no leader: %w", name, stop), err)
			}
		}
	}
	return nil
}

func (c *cluster) led(topic string) (bool, error) {
	if err := c.client.RefreshMetadata(topic); err != nil {
		return false, err
	}
	writable, err := c.client.WritablePartitions(topic)
	return len(writable) == partitions, err
}

// remove removes the topics and the groups of j, as far as they are there.
func (c *cluster) remove(j Job) error {
	var errs []error
	for _, name := range j.topics() {
		if err := c.admin.DeleteTopic(name); err != nil && !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			errs = append(errs, fmt.Errorf("delete topic %s: %w", name, err))
		}
	}
	groups, err := c.admin.ListConsumerGroups()
	errs = append(errs, err)
	for name := range groups {
		if !strings.HasPrefix(name, j.Prefix+".") {
			continue
		}
		if err := c.admin.DeleteConsumerGroup(name); err != nil && !errors.Is(err, sarama.ErrGroupIDNotFound) {
			errs = append(errs, fmt.Errorf("delete group %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}
