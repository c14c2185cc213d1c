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

// Errors for errors.Is.
var (
	// ErrClosed is returned after Close, and by a Publish that Close interrupts.
	ErrClosed = errors.New("kafka: closed")
	// ErrTooLarge is returned by Publish for a message that is too large for its topic. A retry does not help.
	ErrTooLarge = errors.New("message too large")
)

// Transport carries messages over Kafka. It implements wire.Transport.
type Transport struct {
	cfg Config
	tls *tls.Config

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // of calls to Publish, and subscriptions

	mu       sync.Mutex
	closed   bool
	lanes    map[string]*lane   // to publish, by topic
	subs     map[[2]string]bool // topics and groups that are subscribed, or about to be
	replaced error              // an ErrReplaced, once another process has taken over

	claimed time.Time // when the claim was last written; used by claimTopic

	warned *oncelog.Warnings

	shared common // of all subscriptions

	self *mark.Process // this process among the processes of the same name
	slow atomic.Int32  // how often the patience has doubled
	skew atomic.Int64  // by how much the brokers' clocks are ahead, in nanoseconds
}

var _ wire.Transport = (*Transport)(nil)

// New returns a transport. It does not connect, so Kafka may be unreachable. It fails only for an invalid Config and
// for certificates that cannot be read.
func New(cfg Config) (*Transport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("invalid config: %w", err)
	}
	tls, err := cfg.TLS.config()
	if err != nil {
		return nil, fmt.Errorf("invalid config: %w", err)
	}
	t := &Transport{cfg: cfg.withDefaults(), tls: tls, self: mark.NewProcess()}
	t.lanes, t.subs = map[string]*lane{}, map[[2]string]bool{}
	t.warned = oncelog.NewWarnings(t.cfg.Logger, "kafka: ")
	t.ctx, t.cancel = context.WithCancel(context.Background())
	if err := t.sarama(t.ctx, nil).Validate(); err != nil {
		return nil, fmt.Errorf("invalid config: %w", err)
	}
	return t, nil
}

// Features implements wire.Transport.
func (t *Transport) Features() wire.Features {
	return wire.Features{
		Name: "kafka", MaxPayload: maxPayload, Backend: "kafka, topics " + t.cfg.Prefix + ".*", Claim: t.claimTopic, Warnings: t.warnings,
	}
}

// Publish sends msgs to the topic, and returns nil when all messages are on every in-sync replica. It gives up after
// Config.Timeout, or after twice that time when it had to wait for other calls, later still while brokers answer
// slowly, and at Close. It is safe for concurrent use; concurrent calls share batches.
//
// When Publish returns an error, some messages may be stored. Within a partition, and so within a key, these are always
// the first messages: sending all of them again keeps the order of their first appearance.
func (t *Transport) Publish(topic string, msgs ...*message.Message) error {
	if err := t.enter(); err != nil {
		return err
	}
	defer t.wg.Done()
	name, err := t.topic(topic)
	if err != nil {
		return err
	}
	if err = t.lane(name).publish(msgs); err != nil && !errors.Is(err, ErrClosed) {
		err = fmt.Errorf("publish to %s: %w", name, err)
	}
	return err
}

// Subscribe reads all partitions of the topic. It begins after the messages that were acknowledged under
// wire.PositionName of Config.Group, the first time at the oldest message. It returns within a few seconds, with an
// error if Kafka cannot be read or the offsets cannot be committed. The channel closes when ctx ends, at Close, and
// when a problem lasts; after that, Subscribe can be called again.
//
// Up to Config.Window messages of each partition are delivered before they are acknowledged, in the order of the
// partition. A nacked message is delivered again a little later, when all earlier messages are acknowledged. The
// position is committed about once a second, and before the channel closes. A message's context ends when the message
// and all before it are acknowledged, when another delivery of the message follows, and with the subscription.
//
// A topic can be subscribed only once at a time under a position's name. Messages that the topic lost before they were
// read are reported by a message with wire.MetaTrouble.
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
		return nil, fmt.Errorf("kafka: %s is already subscribed: end the other subscription first, and wait until its channel closes", name)
	}
	out, err := t.subscribe(ctx, name, group)
	if err != nil && !errors.Is(err, wire.ErrReplaced) && !errors.Is(err, ErrClosed) {
		err = fmt.Errorf("subscribe to %s: %w", name, err)
	}
	return out, err
}

// Close ends every subscription and every Publish, waits for them, and commits the last positions, which takes a few
// seconds at most. Close is idempotent; a second call waits, too.
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

// enter counts a call for which Close waits.
func (t *Transport) enter() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return ErrClosed
	case t.replaced != nil:
		return t.replaced
	}
	t.wg.Add(1)
	return nil
}

// topic returns Kafka's name of a topic.
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

// setReplaced makes all later calls fail: another process has taken over.
func (t *Transport) setReplaced(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replaced = err
}

// reserve reports whether the caller may subscribe to topic under group. It returns false during another such
// subscription.
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
