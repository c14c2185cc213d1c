package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// lane publishes to one topic. Whoever has the turn sends for all that wait meanwhile, so that many callers with a message
// each cost about as much as one with many.
type lane struct {
	t     *Transport
	topic string
	turn  chan struct{} // of capacity 1: full while somebody sends

	mu    sync.Mutex
	queue []*call

	producer *producer // of whoever has the turn; nil at first and after each failure
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
	return c.err
}

// serve sends calls, and answers each.
func (l *lane) serve(calls []*call) {
	ctx, cancel := context.WithTimeoutCause(l.t.ctx, l.t.cfg.Timeout, fmt.Errorf("gave up after %v", l.t.cfg.Timeout))
	defer cancel()
	err := l.send(ctx, calls)
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

func (l *lane) send(ctx context.Context, calls []*call) (err error) {
	if l.producer != nil && time.Since(l.producer.used) > idle {
		l.discard()
	}
	if l.producer == nil {
		if l.producer, err = l.t.newProducer(ctx, l.topic); err != nil {
			return err
		}
	}
	p := l.producer
	stop := p.client.until(ctx)
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
