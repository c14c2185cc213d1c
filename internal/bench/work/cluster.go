package work

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Partitions is the number of partitions of each topic, on all sides.
const Partitions = 6

// workBroker is a service: a broker that keeps all data in memory.
func workBroker(ctx context.Context, j Job) (Figures, error) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return Figures{}, j.Announce(ctx, strings.Join(c.ListenAddrs(), ","))
}

// Cluster creates and deletes the topics and groups of jobs.
type Cluster struct {
	client sarama.Client
	admin  sarama.ClusterAdmin
}

// Connect connects to the Kafka at brokers, a list with commas.
func Connect(brokers string) (*Cluster, error) {
	cfg := sarama.NewConfig()
	cfg.Version = protocol
	client, err := sarama.NewClient(strings.Split(brokers, ","), cfg)
	if err != nil {
		return nil, fmt.Errorf("reach Kafka at %s: check that Kafka runs and has this address: %w", brokers, err)
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("administer Kafka at %s: %w", brokers, err), client.Close())
	}
	return &Cluster{client, admin}, nil
}

// Close closes the connections.
func (c *Cluster) Close() error { return c.admin.Close() } // admin also closes the client

// topics returns the topics of j's worker.
func (j Job) topics() (names []string) {
	switch j.Worker {
	case "kafka", "kafka-latency":
		names = []string{mainModule, peerModule, wire.RecordsTopic}
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

// Prepare creates the topics of j, and waits until all partitions have a leader: Kafka refuses requests to a new
// partition without a leader.
func (c *Cluster) Prepare(ctx context.Context, j Job) error {
	for _, name := range j.topics() {
		detail := &sarama.TopicDetail{NumPartitions: Partitions, ReplicationFactor: -1}
		if err := c.admin.CreateTopic(name, detail, false); err != nil {
			return fmt.Errorf("create topic %s: %w", name, err)
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

func (c *Cluster) led(topic string) (bool, error) {
	if err := c.client.RefreshMetadata(topic); err != nil {
		return false, err
	}
	writable, err := c.client.WritablePartitions(topic)
	return len(writable) == Partitions, err
}

// Remove deletes the topics and groups of j. A topic or group that does not exist is no error.
func (c *Cluster) Remove(j Job) error {
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
