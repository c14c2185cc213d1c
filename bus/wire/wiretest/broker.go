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
	brokerPartitions = 4    // enough for keys to overtake one another
	brokerWindow     = 1000 // messages of a topic that a group may hold without an answer
)

var (
	errBrokerDown   = errors.New("bustest: the broker is down")
	errBrokerClosed = errors.New("bustest: the broker's transport is closed")
)

// Broker carries messages between deployables in the memory of a test. It is what wire.Transport's contract means, as code,
// and lets a test run a system as several deployables in one process: make a Broker, give each deployable a Transport
// of its own, close the transports at the end.
//
// Order holds per key and no further, as on Kafka: a topic has partitions, and a reader gets them by turns. What is
// delivered when depends on what its callers do, and on nothing else. In a testing/synctest bubble, in which it must be made,
// time passes while it waits. Its methods are safe for concurrent use.
type Broker struct {
	number int64 // each is another one

	mu     sync.Mutex
	down   bool
	topics map[string]*brokerTopic
	ends   []*End
}

// brokerTopic is what was sent to a topic, and who reads it.
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

// brokerGroup is a deployable's place in a topic. It stays when the deployable goes.
type brokerGroup struct {
	places [brokerPartitions]int // everything before is acknowledged
	reader *brokerReader         // nil when nobody reads
}

// NewBroker makes a broker without topics.
func NewBroker() *Broker {
	return &Broker{number: brokersMade.Add(1), topics: map[string]*brokerTopic{}}
}

var brokersMade atomic.Int64

// Transport is the way of the deployable called group to the broker. It works whether the broker is up or down, and must be
// closed. When a second process of a group subscribes to a topic, the channel of the first one closes.
func (b *Broker) Transport(group string) *End {
	e := &End{broker: b, group: group}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ends = append(b.ends, e)
	return e
}

// Down takes the broker away, or brings it back. While it is away, Publish and Subscribe are errors and channels are closed;
// nothing is lost.
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

// Pending counts the messages that a group has yet to acknowledge, summed over the groups that ever subscribed to a topic. An
// acknowledgement counts as soon as it is given.
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
				n += len(records) - g.places[p]
			}
			if g.reader != nil {
				n -= g.reader.ahead()
			}
		}
	}
	return n
}

// Write puts a message on a topic as a program would that knows nothing of us: it may be malformed in any way. A nil key is
// none. It works while the broker is down.
func (b *Broker) Write(topic string, key []byte, headers map[string]string, payload []byte) {
	r := brokerRecord{key: string(key), meta: maps.Clone(headers), payload: slices.Clone(payload)}
	maps.DeleteFunc(r.meta, func(name, _ string) bool { return !wire.Sent(name) })
	b.mu.Lock()
	defer b.mu.Unlock()
	b.topic(topic).append(r)
}

// topic finds or makes a topic. The caller holds b.mu, as with all methods of topics, groups and readers.
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
		_, _ = h.Write([]byte(r.key)) // a hash takes everything
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

// message is the record at a place, as a reader gets it.
func (t *brokerTopic) message(partition, offset int) *message.Message {
	r := t.partitions[partition][offset]
	place := fmt.Sprintf("%s/%d/%d", t.name, partition, offset)
	id := r.id
	if id == "" {
		id = place
	}
	msg := message.NewMessage(id, slices.Clone(r.payload))
	maps.Copy(msg.Metadata, r.meta)
	if wire.Key(msg) != r.key {
		msg.Metadata[wire.MetaKey] = r.key
	}
	msg.Metadata[wire.MetaPosition] = place
	return msg
}
