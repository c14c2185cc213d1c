package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
)

// lane publishes to one topic. Whoever has the turn sends for all that wait meanwhile, so that many callers with a message
// each cost about as much as one with many.
type lane struct {
	t     *Transport
	topic string
	turn  chan struct{} // of capacity 1: full while somebody sends

	mu    sync.Mutex
	queue []*call

	producer *producer   // of whoever has the turn; nil at first and after each failure
	room     room        // likewise
	doze     *time.Timer // likewise; until the producer has rested for long
}

// call is one Publish. Its fields are the sender's until done is closed.
type call struct {
	records []record
	left    int // records that Kafka has not acknowledged
	err     error
	done    chan struct{}
}

func (l *lane) publish(msgs []*message.Message) error {
	c := &call{records: records(msgs), left: len(msgs), done: make(chan struct{})}
	l.mu.Lock()
	l.queue = append(l.queue, c)
	l.mu.Unlock()
	select {
	case <-c.done:
		return c.err
	case l.turn <- struct{}{}:
	}
	defer func() { <-l.turn }()
	select {
	case <-c.done: // by who had the turn before
		return c.err
	default:
	}
	l.mu.Lock()
	calls := l.queue
	l.queue = nil
	l.mu.Unlock()
	l.serve(calls)
	l.rest()
	return c.err
}

// rest has the producer's connections closed when nothing is published for a while. Whoever has the turn calls it.
func (l *lane) rest() {
	switch {
	case l.producer == nil:
	case l.doze == nil:
		l.doze = time.AfterFunc(l.t.cfg.rest, l.sleep)
	default:
		l.doze.Reset(l.t.cfg.rest)
	}
}

// sleep closes the connections of a producer that rests.
func (l *lane) sleep() {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	default: // somebody publishes, and rests after that
		return
	}
	if l.producer != nil && time.Since(l.producer.used) >= l.t.cfg.rest {
		l.discard()
	}
}

// close ends the lane, when nobody publishes any more.
func (l *lane) close() {
	l.turn <- struct{}{}
	if l.doze != nil {
		l.doze.Stop()
	}
	l.discard()
	<-l.turn
}

// serve sends calls, and answers each.
func (l *lane) serve(calls []*call) {
	within, began := l.t.cfg.Timeout, time.Now()
	if l.t.slow.Load() > 0 { // brokers take their time, and several have to answer
		within = max(within, 3*l.t.patience())
	}
	ctx, cancel := context.WithTimeoutCause(l.t.ctx, within, fmt.Errorf("gave up after %v", within))
	defer cancel()
	err := l.send(ctx, calls)
	for rest := calls; errors.As(err, new(*wire.Refused)); { // one of the calls: the others are sent again without it
		l.discard()
		rest = slices.DeleteFunc(slices.Clone(rest), func(c *call) bool { return c.err != nil || c.left == 0 })
		for _, c := range rest {
			c.left = len(c.records)
		}
		if err = nil; len(rest) > 0 {
			err = l.send(ctx, rest)
		}
	}
	l.t.waited(time.Since(began), err)
	if err != nil {
		l.discard()
		if l.t.ctx.Err() != nil {
			err = ErrClosed
		} else {
			err = l.t.explain(err, l.topic, "WRITE")
		}
	}
	for _, c := range calls {
		if (c.left > 0 || len(c.records) == 0) && c.err == nil { // without records, the caller asks whether it could
			c.err = err
		}
		close(c.done)
	}
}

// idle is how long a producer may rest. Brokers forget those that they have not heard of for a day, and then take their
// next batch for one that follows upon something lost.
const idle = time.Hour

// room is how large a batch of a topic may be, as far as is known. It changes while we run: so a message is refused only by what was
// known a moment ago.
type room struct {
	limit int       // bytes
	known bool      // the topic's settings say so; otherwise the broker's answers do
	at    time.Time // when that was
}

// askAgain is how old what is known may be when a message is refused by it.
const askAgain = 100 * time.Millisecond

// ask notes the settings of the topic.
func (r *room) ask(s settings) {
	if s.known || r.known || r.limit == 0 || time.Since(r.at) >= askAgain {
		r.limit, r.known, r.at = s.limit, s.known, time.Now()
	}
}

// learn notes what a broker does not take more than.
func (r *room) learn(limit int) {
	r.limit, r.known, r.at = min(r.limit, limit), false, time.Now()
}

// again is the limit, asked for anew if that was some time ago.
func (r *room) again(p *producer) int {
	if time.Since(r.at) >= askAgain {
		s, _ := p.client.settings(p.topic) // who may not ask tries
		r.ask(s)
	}
	return r.limit
}

func (l *lane) send(ctx context.Context, calls []*call) (err error) {
	if l.producer != nil && time.Since(l.producer.used) > idle {
		l.discard()
	}
	if l.producer == nil {
		if l.producer, err = l.t.newProducer(ctx, l.topic, &l.room); err != nil {
			return err
		}
	}
	p := l.producer
	stop := p.client.until(ctx)
	if time.Since(p.looked) >= l.t.cfg.Refresh && l.t.warned.Has(l.topic, foreignTime) {
		p.looked = time.Now()
		_, _ = l.t.inspect(p.client, l.topic) // somebody may have mended it
	}
	for _, c := range calls {
		if c.err = p.check(c); c.err != nil {
			continue
		}
		if err = p.add(ctx, c); err != nil {
			break
		}
	}
	if err == nil {
		err = p.flush(ctx)
	}
	if !stop() {
		err = because(ctx, err)
	}
	return err
}

// discard throws the producer away, so that nothing of what may still be under way with it can follow, in its
// sequence, upon what comes next. Whoever calls it has the turn, or is the last.
func (l *lane) discard() {
	if l.producer != nil {
		l.producer.client.close()
		l.producer = nil
	}
}
