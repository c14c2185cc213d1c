package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/bus/wire/mark"
	"github.com/troupebus/troupe/internal/oncelog"
)

// Errors that callers can tell apart with errors.Is.
var (
	// ErrClosed is returned after Close, and by a Publish that Close interrupts.
	ErrClosed = errors.New("kafka: closed")
	// ErrTooLarge is returned by Publish for a message that is larger than its topic takes. To send it again does not help.
	ErrTooLarge = errors.New("kafka: message too large")
)

// Transport carries messages over Kafka. It implements wire.Transport.
type Transport struct {
	cfg Config
	tls *tls.Config

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // of calls to Publish, and of subscriptions

	mu     sync.Mutex
	closed bool
	lanes  map[string]*lane   // to publish, by topic
	subs   map[[2]string]bool // topics and groups that are subscribed, or about to be
	gone   error              // another process has taken over

	claimed time.Time // when the claim was last written; the claimer's

	warned *oncelog.Warnings

	shared common // what subscriptions share

	self *mark.Process // this process among those that read under its name
	slow atomic.Int32  // how often patience has doubled
	skew atomic.Int64  // by how much the brokers' clocks are ahead
}

var _ wire.Transport = (*Transport)(nil)

// New makes a transport. It does not connect: Kafka may be away. It fails only for a bad Config, and for certificates that
// cannot be read.
func New(cfg Config) (*Transport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kafka: config: %w", err)
	}
	tls, err := cfg.TLS.config()
	if err != nil {
		return nil, fmt.Errorf("kafka: config: %w", err)
	}
	t := &Transport{cfg: cfg.withDefaults(), tls: tls, lanes: map[string]*lane{}, subs: map[[2]string]bool{}, self: mark.NewProcess()}
	t.warned = oncelog.NewWarnings(t.cfg.Logger, "kafka: ")
	t.ctx, t.cancel = context.WithCancel(context.Background())
	if err := t.sarama(t.ctx, nil).Validate(); err != nil {
		return nil, fmt.Errorf("kafka: config: %w", err)
	}
	return t, nil
}

// Features implements wire.Transport.
func (t *Transport) Features() wire.Features {
	return wire.Features{
		Name: "kafka", MaxPayload: maxPayload, Backend: "kafka, topics " + t.cfg.Prefix + ".*", Claim: t.claimTopic, Warnings: t.warnings,
	}
}

// Publish sends msgs to the topic of that name, and returns nil when all of them are on every replica that is in sync. It
// gives up after Config.Timeout (after twice that when it had to wait for others), and at Close. It is safe for
// concurrent use; calls that come at the same time share their way.
//
// With an error some of msgs may have been taken. Of one partition, and so of one key, it is always the first ones:
// whoever sends all of them again keeps the order in which they first appear.
func (t *Transport) Publish(topic string, msgs ...*message.Message) error {
	if err := t.enter(); err != nil {
		return err
	}
	defer t.wg.Done()
	name, err := t.topic(topic)
	if err != nil {
		return err
	}
	if err := t.lane(name).publish(msgs); err != nil {
		return fmt.Errorf("kafka: publish to %s: %w", name, err)
	}
	return nil
}

// Subscribe reads the topic of that name, all of its partitions, from behind what was acknowledged under wire.PlaceOf of
// Config.Group, at first from the oldest message. It returns within a few seconds, with an error if Kafka cannot be read, or the
// place not be written.
// The channel closes when ctx ends, at Close, and when there is trouble that lasts; then Subscribe can be called again.
//
// Up to Config.Window messages of each partition are delivered before they are acknowledged, in the order of the partition.
// One that is nacked is delivered again a little later, when all before it are acknowledged. The place is written to Kafka
// about once a second, and before the channel closes. A message's context ends when it and all before it are acknowledged,
// when it is taken back for another delivery, and with the subscription.
//
// A place can be subscribed once at a time. Messages that the topic lost before they were read are told by one that has
// wire.MetaTrouble set.
func (t *Transport) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer t.wg.Done()
	name, err := t.topic(topic)
	if err != nil {
		return nil, err
	}
	group := wire.PositionName(ctx, t.cfg.Group)
	if !t.reserve(name, group) {
		return nil, fmt.Errorf("kafka: %s is subscribed already: end the other subscription first, and wait until its channel closes", name)
	}
	out, err := t.subscribe(ctx, name, group)
	if errors.Is(err, wire.ErrReplaced) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("kafka: subscribe to %s: %w", name, err)
	}
	return out, nil
}

// Close ends every subscription and every Publish, waits for them, and writes to Kafka what was acknowledged, for which it
// takes a few seconds at most. It is idempotent; a second call waits as well.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	t.wg.Wait()
	t.closeCommon()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.lanes {
		l.close()
	}
	return nil
}

// enter counts somebody in whom Close waits for.
func (t *Transport) enter() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return ErrClosed
	case t.gone != nil:
		return t.gone
	}
	t.wg.Add(1)
	return nil
}

// topic is Kafka's name of a topic.
func (t *Transport) topic(name string) (string, error) {
	full := t.cfg.Prefix + "." + name
	if !legalTopic.MatchString(name) || len(full) > 249 {
		return "", fmt.Errorf("kafka: topic %q: want letters, digits, '.', '_' and '-', at most 249 with the prefix", full)
	}
	return full, nil
}

func (t *Transport) lane(topic string) *lane {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lanes[topic]
	if l == nil {
		l = &lane{t: t, topic: topic, turn: make(chan struct{}, 1)}
		t.lanes[topic] = l
	}
	return l
}

// replace has everything end: another process has taken over.
func (t *Transport) replace(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone = err
}

// reserve makes topic the caller's to subscribe under group, unless it is somebody else's.
func (t *Transport) reserve(topic, group string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.subs[[2]string{topic, group}] {
		return false
	}
	t.subs[[2]string{topic, group}] = true
	return true
}

func (t *Transport) release(topic, group string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.subs, [2]string{topic, group})
}
