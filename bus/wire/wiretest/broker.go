package wiretest

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
)

const (
	brokerPartitions = 4    // enough for one key to overtake another
	brokerWindow     = 1000 // the limit for a group's unanswered messages in a topic
)

var (
	errBrokerDown   = errors.New("wiretest: the broker is down")
	errBrokerClosed = errors.New("wiretest: the broker's transport is closed")
)

// Broker carries messages between deployables in the memory of a test, by the contract of wire.Transport. With a
// Broker, a test can run a system as several deployables in one process: create a Broker, give each deployable its own
// Transport, and close the transports at the end.
//
// As on Kafka, order holds only within a key: a topic has partitions, and a reader reads the partitions in turn. The
// deliveries depend only on the calls. In a testing/synctest bubble, create the Broker inside the bubble; time then
// passes while the Broker waits. The methods are safe for concurrent use.
type Broker struct {
	number int64 // unique among brokers

	mu     sync.Mutex
	down   bool
	topics map[string]*brokerTopic
	ends   []*End
}

// brokerTopic holds the messages of a topic, and the groups that read the topic.
type brokerTopic struct {
	name       string
	partitions [brokerPartitions][]brokerRecord
	turn       int // the partition of the next message without a key
	groups     map[string]*brokerGroup
}

type brokerRecord struct {
	id      string
	key     string
	meta    map[string]string
	payload []byte
}

// brokerGroup holds the positions of a deployable in a topic. The group stays when the deployable ends.
type brokerGroup struct {
	positions [brokerPartitions]int // all messages before are acknowledged
	reader    *brokerReader         // nil without a reader
}

// NewBroker returns a broker without topics.
func NewBroker() *Broker {
	return &Broker{number: brokersMade.Add(1), topics: map[string]*brokerTopic{}}
}

var brokersMade atomic.Int64

// Transport returns the transport of the deployable called group. The caller must close the transport. The broker may
// be down meanwhile. When a second process of a group subscribes to a topic, the channel of the first process closes.
func (b *Broker) Transport(group string) *End {
	e := &End{broker: b, group: group}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ends = append(b.ends, e)
	return e
}

// Down takes the broker away, or brings the broker back. While the broker is down, Publish and Subscribe return errors,
// and channels are closed. No message is lost.
func (b *Broker) Down(away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = away
	if away {
		for _, e := range b.ends {
			e.hangUp()
		}
	}
}

// Pending returns the number of messages without an acknowledgement, summed over all groups that ever subscribed to a
// topic. An acknowledgement counts at once, even after a gap.
func (b *Broker) Pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, t := range b.topics {
		for _, g := range t.groups {
			if g.reader != nil {
				g.reader.sweep()
			}
			for p, records := range t.partitions {
				n += len(records) - g.positions[p]
			}
			if g.reader != nil {
				n -= g.reader.ahead()
			}
		}
	}
	return n
}

// Write appends a message to a topic like a program that does not know Troupe: the message may be malformed. A nil key
// means no key. Write works while the broker is down.
func (b *Broker) Write(topic string, key []byte, headers map[string]string, payload []byte) {
	r := brokerRecord{key: string(key), meta: maps.Clone(headers), payload: slices.Clone(payload)}
	maps.DeleteFunc(r.meta, func(name, _ string) bool { return !wire.Sent(name) })
	b.mu.Lock()
	defer b.mu.Unlock()
	b.topic(topic).append(r)
}

// topic returns or creates a topic. The caller holds b.mu, as for all methods of topics, groups and readers.
func (b *Broker) topic(name string) *brokerTopic {
	t, ok := b.topics[name]
	if !ok {
		t = &brokerTopic{name: name, groups: map[string]*brokerGroup{}}
		b.topics[name] = t
	}
	return t
}

func (t *brokerTopic) group(name string) *brokerGroup {
	g, ok := t.groups[name]
	if !ok {
		g = &brokerGroup{}
		t.groups[name] = g
	}
	return g
}

func (t *brokerTopic) append(r brokerRecord) {
	p := t.turn
	if r.key != "" {
		h := fnv.New32a()
		_, _ = h.Write([]byte(r.key)) // a hash never fails
		p = int(h.Sum32() % brokerPartitions)
	} else {
		t.turn = (t.turn + 1) % brokerPartitions
	}
	t.partitions[p] = append(t.partitions[p], r)
	for _, g := range t.groups {
		if g.reader != nil {
			g.reader.nudge()
		}
	}
}

// message returns the record at an offset as a message for a reader.
func (t *brokerTopic) message(partition, offset int) *message.Message {
	r := t.partitions[partition][offset]
	position := fmt.Sprintf("%s/%d/%d", t.name, partition, offset)
	id := r.id
	if id == "" {
		id = position
	}
	msg := message.NewMessage(id, slices.Clone(r.payload))
	maps.Copy(msg.Metadata, r.meta)
	if wire.Key(msg) != r.key {
		msg.Metadata[wire.MetaKey] = r.key
	}
	msg.Metadata[wire.MetaPosition] = position
	return msg
}
