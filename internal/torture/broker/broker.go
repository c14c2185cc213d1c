// Package broker causes faults at a broker of Kafka's protocol that no deployable expects. The torture test uses the
// package beside the deployables, and not through their network.
package broker

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

const (
	largeSize = 240 << 20
	hoardSize = 8 << 20
	limit     = 10 * time.Second // of a request
)

// AllowLarge allows this process to send records that are larger than sarama allows by default: sarama checks the size
// of a request before compression.
func AllowLarge() { sarama.MaxRequestSize = 2 * largeSize }

// The settings of topics that schedules change.
const (
	SettingLimit   = "max.message.bytes"
	SettingCleanup = "cleanup.policy"
)

// Broker is a connection to a broker.
type Broker struct {
	address string
	client  sarama.Client
	admin   sarama.ClusterAdmin
}

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V2_8_0_0
	c.Net.DialTimeout, c.Net.ReadTimeout, c.Metadata.Retry.Max = time.Second, limit, 1
	c.Producer.Compression, c.Producer.Return.Successes = sarama.CompressionZSTD, true
	c.Producer.MaxMessageBytes = 2 * largeSize
	return c
}

// Connect returns a connection to the running broker at address.
func Connect(address string) (*Broker, error) {
	client, err := sarama.NewClient([]string{address}, config())
	if err != nil {
		return nil, err
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		_ = client.Close() // the first error says more
		return nil, err
	}
	return &Broker{address, client, admin}, nil
}

// Close ends the connection.
func (b *Broker) Close() { _ = b.admin.Close() } // closes the client, too; only connections can fail

var zeros = make([]byte, largeSize)

var sending sync.Mutex // allows large records of a single broker at a time in this process

func (b *Broker) send(messages ...*sarama.ProducerMessage) error {
	sending.Lock()
	defer sending.Unlock()
	p, err := sarama.NewSyncProducerFromClient(b.client)
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }() // every message has an answer
	err = p.SendMessages(messages)
	if failed, ok := errors.AsType[sarama.ProducerErrors](err); ok {
		return failed[0].Err // the list has no text of its own
	}
	return err
}

// Event is an event of another program.
type Event struct {
	ID, Type, Source, Key string
	Data                  []byte
}

func (e Event) message(topic string) *sarama.ProducerMessage {
	m := &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(e.Key), Value: sarama.ByteEncoder(e.Data)}
	for name, value := range map[string]string{
		"content-type": "application/octet-stream", "ce_specversion": "1.0", "ce_id": e.ID, "ce_type": e.Type, "ce_source": e.Source, "ce_subject": e.Key,
	} {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(name), Value: []byte(value)})
	}
	return m
}

// Send sends an event.
func (b *Broker) Send(topic string, e Event) error { return b.send(e.message(topic)) }

// SendLarge sends an event that is large, and small while compressed: a copy of e with other data.
func (b *Broker) SendLarge(topic string, e Event) error {
	e.Data = zeros
	return b.Send(topic, e)
}

// SendHoard sends a record that is no event for each of keys, and then events of 8 MiB, small while compressed: as many
// as each says. The events are copies of e with other ids and data.
func (b *Broker) SendHoard(topic string, e Event, keys, each int) error {
	for k := range keys {
		key := fmt.Sprint("hoard-", k)
		first := &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(key), Value: sarama.StringEncoder("no event")}
		if err := b.send(first); err != nil {
			return err
		}
		for n := range each {
			e.ID, e.Key, e.Data = fmt.Sprint(key, "-", n), key, zeros[:hoardSize]
			if err := b.send(e.message(topic)); err != nil {
				return err
			}
		}
	}
	return nil
}

// SetTopic sets a setting of an existing topic.
func (b *Broker) SetTopic(topic, setting, value string) error {
	return b.admin.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{
		setting: {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value},
	}, false)
}

// TakeNone lowers the limit of a topic, and returns when no partition takes an event.
func (b *Broker) TakeNone(topic string) error { return b.setLimit(topic, "100", false) }

// TakeAll raises the limit of a topic, and returns when all partitions take events.
func (b *Broker) TakeAll(topic string) error { return b.setLimit(topic, "1200000", true) }

// setLimit sets the limit of a topic, and returns when each partition takes an event, or refuses the event as too
// large: a broker applies a new limit after its answer, and to one partition after another.
func (b *Broker) setLimit(topic, bytes string, takes bool) error {
	if err := b.SetTopic(topic, SettingLimit, bytes); err != nil {
		return err
	}
	c := config()
	c.Producer.Partitioner = sarama.NewManualPartitioner
	p, err := sarama.NewSyncProducer([]string{b.address}, c)
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }() // every message has an answer
	partitions, err := b.client.Partitions(topic)
	for i, end := 0, time.Now().Add(limit); err == nil && i < len(partitions); {
		m := Event{ID: "limit", Type: "torture.inside", Source: "front"}.message(topic)
		m.Partition = partitions[i]
		_, _, sent := p.SendMessage(m)
		switch {
		case takes && sent == nil || !takes && errors.Is(sent, sarama.ErrMessageSizeTooLarge):
			i++
		case time.Now().After(end):
			err = fmt.Errorf("partition %d does not follow the limit of %s bytes: %w", m.Partition, bytes, sent)
		default:
			time.Sleep(limit / 1000)
		}
	}
	return err
}

// CreateTopic creates a topic with a setting.
func (b *Broker) CreateTopic(topic, setting, value string) error {
	return b.admin.CreateTopic(topic, &sarama.TopicDetail{
		NumPartitions: 3, ReplicationFactor: 1, ConfigEntries: map[string]*string{setting: &value},
	}, false)
}

// DeleteTopic deletes a topic, and returns when the topic is gone. Until then, the broker may acknowledge records, and
// delete the records with the topic.
func (b *Broker) DeleteTopic(topic string) error {
	err := b.admin.DeleteTopic(topic)
	for end := time.Now().Add(limit); err == nil && time.Now().Before(end); time.Sleep(limit / 100) {
		found, asked := b.admin.DescribeTopics([]string{topic})
		if err = asked; err == nil && len(found) == 1 && found[0].Err == sarama.ErrUnknownTopicOrPartition {
			return nil
		}
	}
	return err
}

// Forget deletes the records of a topic, except the newest kept records of each partition, and the positions of the
// run's groups with the prefix groups. It reports whether it deleted the records.
func (b *Broker) Forget(topic string, kept int64, groups string) bool {
	partitions, err := b.client.Partitions(topic)
	if err != nil {
		return false
	}
	ends := map[int32]int64{}
	for _, p := range partitions {
		end, err := b.client.GetOffset(topic, p, sarama.OffsetNewest)
		if err != nil {
			return false
		}
		ends[p] = max(end-kept, 0)
	}
	if err := b.admin.DeleteRecords(topic, ends); err != nil {
		return false
	}
	all, err := b.admin.ListConsumerGroups()
	if err != nil {
		return true
	}
	for g := range all {
		if strings.HasPrefix(g, groups) && b.isBeside(g, topic) {
			_ = b.admin.DeleteConsumerGroup(g) // a group with members stays
		}
	}
	return true
}

// isBeside reports whether a group has a position in topic, or in another topic with the same prefix. The other groups
// of a server belong to other runs.
func (b *Broker) isBeside(group, topic string) bool {
	prefix, _, _ := strings.Cut(topic, ".")
	offsets, err := b.admin.ListConsumerGroupOffsets(group, nil)
	if err != nil {
		return false
	}
	for name := range offsets.Blocks {
		if strings.HasPrefix(name, prefix+".") {
			return true
		}
	}
	return false
}

// ForgetAll does the same as Forget with all topics, and reports whether it deleted the records of all topics.
func (b *Broker) ForgetAll(kept int64, groups string) bool {
	topics, err := b.client.Topics()
	if err != nil {
		return false
	}
	for _, topic := range topics {
		if !b.Forget(topic, kept, groups) {
			return false
		}
	}
	return true
}

// OpenTransaction sends a record to each partition of a topic, in a transaction that stays open until abort.
func (b *Broker) OpenTransaction(topic string) (abort func() error, err error) {
	c := config()
	c.Producer.Idempotent, c.Producer.RequiredAcks, c.Net.MaxOpenRequests = true, sarama.WaitForAll, 1
	c.Producer.Transaction.ID, c.Producer.Partitioner = topic, sarama.NewManualPartitioner
	partitions, err := b.client.Partitions(topic)
	if err != nil {
		return nil, err
	}
	p, err := sarama.NewSyncProducer([]string{b.address}, c)
	if err != nil {
		return nil, err
	}
	err = p.BeginTxn()
	for _, id := range partitions {
		if err == nil {
			m := &sarama.ProducerMessage{Topic: topic, Partition: id, Value: sarama.StringEncoder("theirs")}
			_, _, err = p.SendMessage(m)
		}
	}
	if err != nil {
		_ = p.Close() // the first error says more
		return nil, err
	}
	return func() error {
		err := p.AbortTxn()
		if closed := p.Close(); err == nil {
			err = closed
		}
		return err
	}, nil
}
