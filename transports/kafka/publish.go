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

// lane publishes to a topic. The caller that has the turn also sends for the callers that wait. So many callers with a
// message each cost about as much as a single caller with many messages.
type lane struct {
	t     *Transport
	topic string
	turn  chan struct{} // of capacity 1: full while a caller sends

	mu    sync.Mutex
	queue []*call

	producer   *producer   // belongs to the turn; nil at first and after each failure
	room       room        // belongs to the turn
	closeTimer *time.Timer // belongs to the turn; closes a producer that rests
}

// call is a call of Publish. The caller that sends owns its fields until done is closed.
type call struct {
	records []record
	arrived time.Time
	left    int // records without an acknowledgement
	err     error
	done    chan struct{}
}

func (l *lane) publish(msgs []*message.Message) error {
	c := &call{records: records(msgs), arrived: time.Now(), left: len(msgs), done: make(chan struct{})}
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
	case <-c.done: // sent by the caller that had the turn before
		return c.err
	default:
	}
	l.mu.Lock()
	calls := l.queue
	l.queue = nil
	l.mu.Unlock()
	l.serve(calls)
	l.scheduleClose()
	return c.err
}

// scheduleClose closes the producer's connections after a while without messages. It needs the turn.
func (l *lane) scheduleClose() {
	switch {
	case l.producer == nil:
	case l.closeTimer == nil:
		l.closeTimer = time.AfterFunc(l.t.cfg.rest, l.closeIdle)
	default:
		l.closeTimer.Reset(l.t.cfg.rest)
	}
}

// closeIdle closes the connections of a producer that rests.
func (l *lane) closeIdle() {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	default: // a caller is sending, and calls scheduleClose afterwards
		return
	}
	if l.producer != nil && time.Since(l.producer.used) >= l.t.cfg.rest {
		l.discard()
	}
}

// close ends the lane after the last call of publish.
func (l *lane) close() {
	l.turn <- struct{}{}
	if l.closeTimer != nil {
		l.closeTimer.Stop()
	}
	l.discard()
	<-l.turn
}

// serve sends calls, and answers each of them.
func (l *lane) serve(calls []*call) {
	within, began := l.t.cfg.Timeout, time.Now()
	if l.t.slow.Load() > 0 { // brokers are slow, and several have to answer
		within = max(within, 3*l.t.patience())
	}
	ctx, cancel := context.WithTimeoutCause(l.t.ctx, within, fmt.Errorf("gave up after %v", within))
	defer cancel()
	err := l.send(ctx, calls)
	for rest := calls; errors.As(err, new(*wire.Refused)); { // a call is refused: send the others again without it
		l.discard()
		rest = slices.DeleteFunc(slices.Clone(rest), func(c *call) bool { return c.err != nil || c.left == 0 })
		for _, c := range rest {
			c.left = len(c.records)
		}
		if err = nil; len(rest) > 0 {
			err = l.send(ctx, rest)
		}
	}
	l.t.waited(l.t.ctx, time.Since(began), err)
	if err != nil {
		l.discard()
		if l.t.ctx.Err() != nil {
			err = ErrClosed
		} else {
			err = l.t.explain(err, l.topic, "WRITE")
		}
	}
	for _, c := range calls {
		if (c.left > 0 || len(c.records) == 0) && c.err == nil { // a call without records asks whether Publish works
			c.err = err
		}
		close(c.done)
	}
}

// idle is how long a producer may rest. Brokers forget a producer after a day without messages, and would then take its
// next batch for the successor of a lost batch.
const idle = time.Hour

// room is the largest size of a batch in a topic, as far as known. The limit can change at any time: so a message is
// refused only by a limit that was read after the call of Publish.
type room struct {
	limit int       // bytes
	at    time.Time // before limit was read
}

// allows reports whether a message fits that came to Publish at the given time. It reads an older limit again.
func (r *room) allows(size int, p *producer, arrived time.Time) bool {
	if size > r.limit && r.at.Before(arrived) {
		at := time.Now()
		s, _ := p.client.settings(p.topic) // without the right to read settings, the broker refuses large messages
		r.limit, r.at = s.limit, at
	}
	return size <= r.limit
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
	stop := p.client.cutWhenDone(ctx)
	if time.Since(p.looked) >= l.t.cfg.Refresh && l.t.warned.Has(l.topic, foreignTime) {
		p.looked = time.Now()
		_, _ = l.t.inspect(p.client, l.topic) // an operator may have changed the setting
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
		err = withCause(ctx, err)
	}
	return err
}

// discard throws the producer away. Its batches that may still be in flight can then not follow, in its sequence, upon
// later batches. The caller has the turn, or is the last.
func (l *lane) discard() {
	if l.producer != nil {
		l.producer.client.close()
		l.producer = nil
	}
}
