package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/oncelog"
	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/transports/sqlite/dispatch"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/registry"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// Publisher publishes plain Watermill messages into a journal. It is safe for concurrent use.
type Publisher struct {
	j      *Journal
	mu     sync.RWMutex
	closed bool
}

// Publisher returns a Watermill publisher on j. Closing the publisher leaves j open.
func (j *Journal) Publisher() *Publisher { return &Publisher{j: j} }

// Publish appends messages to topic, in order and all or none, and returns when they are on disk. A UUID that the topic
// has is not appended again: retrying is safe. The metadata ce_subject (the key), correlation_id and causation_id
// become attributes of the event.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return journal.ErrClosed
	}
	if topic == "" {
		return errors.New("sqlite: publish: empty topic")
	}
	events := make([]*journal.Event, len(messages))
	for i, m := range messages {
		events[i] = eventOf(topic, m)
	}
	return p.j.Do(context.Background(), journal.Work{Name: "publish to " + topic}, func(journal.TxFunc) ([]*journal.Event, error) {
		return events, nil
	})
}

// Close waits for running publishes, and refuses later ones.
func (p *Publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}

// Subscriber delivers plain Watermill messages from a journal to a consumer group. Each message of a topic goes to one
// member, in the order of the log, after the previous message was acknowledged. A message without acknowledgement is
// delivered again. A group starts with the oldest message, and its position survives restarts. A Subscriber is safe for
// concurrent use.
type Subscriber struct {
	j      *Journal
	group  string
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// Subscriber returns a Watermill subscriber on j. Without a group, every Subscribe gets all messages from the oldest
// on, and no position is stored.
func (j *Journal) Subscriber(group string) *Subscriber {
	ctx, cancel := context.WithCancel(j.ctx)
	return &Subscriber{j: j, group: group, ctx: ctx, cancel: cancel}
}

// Subscribe implements message.Subscriber. The channel is closed when ctx ends or at Close.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, journal.ErrClosed
	}
	if topic == "" {
		return nil, errors.New("sqlite: subscribe: empty topic")
	}
	g, err := s.j.join(ctx, s.group, topic)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", topic, err)
	}
	out := make(chan *message.Message)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	s.running.Go(func() {
		defer close(out)
		defer cancel()
		defer stop()
		defer g.leave()
		g.serve(ctx, out)
	})
	return out, nil
}

// Close ends all channels of this subscriber. Unacknowledged messages are delivered again to another member.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.running.Wait()
	return nil
}

// group is a consumer group on one topic. The members take turns: only one message is out at a time.
type group struct {
	wake.Follower
	j    *Journal
	id   int64 // 0: position not stored
	turn chan struct{}

	next  []*journal.Event // read ahead; for the member with the turn
	read  int64            // read up to here; for the member with the turn
	tries *oncelog.Tries   // of reading; for the member with the turn

	mu       sync.Mutex
	pos      int64 // acknowledged up to here
	dirty    bool  // pos is not on disk
	flushing bool  // a write of pos is queued
}

// join returns the group, and creates it if necessary.
func (j *Journal) join(ctx context.Context, name, topic string) (*group, error) {
	key := "group:" + strconv.Quote(name) + ":" + topic
	j.mu.Lock()
	j.topics[topic] = true
	g := j.groups[key]
	closing := j.closing
	j.mu.Unlock()
	if closing {
		return nil, journal.ErrClosed
	}
	if g != nil {
		return g, nil
	}
	m := wake.NewMatch([]string{topic}, false)
	m.Durable = true
	g = &group{Follower: wake.NewFollower(m), j: j, turn: make(chan struct{}, 1),
		tries: oncelog.NewTries(j.cfg.Logger, "reading of a consumer group", "topic", topic, "group", name)}
	if name == "" { // the group writes nothing, but needs the writer's wake-ups
		if err := j.writer.Begun(ctx); err != nil {
			return nil, err
		}
	} else {
		err := j.writer.Submit(ctx, &commit.Item{Work: journal.Work{Name: "journal"}, Run: func(u *commit.Unit) error {
			r, err := registry.Group(ctx, u.Tx(), key, g.Match)
			g.id, g.pos = r.ID, r.Cursor
			return err
		}})
		if err != nil {
			return nil, row.Explain(err)
		}
	}
	g.read = g.pos
	j.mu.Lock()
	defer j.mu.Unlock()
	if name != "" {
		if first := j.groups[key]; first != nil { // a concurrent call created the group
			return first, nil
		}
		j.groups[key] = g
	}
	j.addReader(&g.Follower)
	return g, nil
}

// leave removes a group without a stored position when its only member leaves.
func (g *group) leave() {
	if g.id == 0 {
		g.j.removeReader(&g.Follower)
	}
}

// serve delivers to one member until ctx ends.
func (g *group) serve(ctx context.Context, out chan<- *message.Message) {
	for {
		select {
		case g.turn <- struct{}{}:
		case <-ctx.Done():
			return
		}
		if e := g.peek(ctx); e != nil && deliver(ctx, e, out) {
			g.next = g.next[1:]
			g.acked(e.Seq)
		}
		<-g.turn
		if ctx.Err() != nil {
			return
		}
	}
}

// peek waits for the next event of the topic. It returns nil when ctx ends.
func (g *group) peek(ctx context.Context) *journal.Event {
	for len(g.next) == 0 {
		events, pos, err := g.j.read(ctx, g.read, g.Match, dispatch.Admitted)
		if ctx.Err() != nil {
			return nil
		}
		g.tries.Note(err)
		switch {
		case err != nil:
			pause.For(ctx, 10*troubleDelay)
		case pos == g.read:
			select {
			case <-ctx.Done():
			case <-g.Wake:
			}
		default:
			g.next, g.read = events, pos
		}
	}
	return g.next[0]
}

// deliver sends e until a member acknowledges the message. It returns false when ctx ends first.
func deliver(ctx context.Context, e *journal.Event, out chan<- *message.Message) bool {
	for {
		msg := newMessage(e)
		msgCtx, cancel := context.WithCancel(ctx)
		msg.SetContext(msgCtx)
		select {
		case out <- msg:
		case <-ctx.Done():
			cancel()
			return false
		}
		select {
		case <-msg.Acked():
			cancel()
			return true
		case <-msg.Nacked():
			cancel()
		case <-ctx.Done():
			cancel()
			return false
		}
	}
}

// acked stores the position with the next commit. The next message does not wait for the commit.
func (g *group) acked(seq int64) {
	if g.id == 0 {
		return
	}
	g.mu.Lock()
	g.pos, g.dirty = seq, true
	queue := !g.flushing
	g.flushing = true
	g.mu.Unlock()
	if queue { // every commit writes changed positions, also a commit without work
		_ = g.j.writer.EnqueueEmpty() // on an error, Close writes the position
	}
}

// unflushed returns the position to write.
func (g *group) unflushed() (pos int64, dirty bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	pos, dirty = g.pos, g.dirty
	g.dirty, g.flushing = false, false
	return pos, dirty
}
