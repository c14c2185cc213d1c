package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// delivery is a message in flight, and its context. The context ends when the message is acknowledged or nacked, and
// with the subscription. Few callers use Done: its channel is made on demand, so a message costs no context.WithCancel.
type delivery struct {
	context.Context // the subscription's, for its values
	msg             *message.Message
	offset          int64 // where to read on while the message is not acknowledged
	next            int64 // where to read on afterwards
	size            int64 // in bytes, approximately

	mu    sync.Mutex
	ended bool
	done  chan struct{}
}

func newDelivery(ctx context.Context, msg *message.Message, offset, next int64) *delivery {
	d := &delivery{Context: ctx, msg: msg, offset: offset, next: next}
	msg.SetContext(d)
	return d
}

// redelivery returns a second delivery of the message.
func (d *delivery) redelivery() *delivery {
	next := newDelivery(d.Context, d.msg.Copy(), d.offset, d.next)
	next.size = d.size
	return next
}

// end ends the context. It is idempotent.
func (d *delivery) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ended && d.done != nil {
		close(d.done)
	}
	d.ended = true
}

// Done implements context.Context.
func (d *delivery) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done == nil {
		d.done = make(chan struct{})
		if d.ended {
			close(d.done)
		}
	}
	return d.done
}

// Err implements context.Context.
func (d *delivery) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return context.Canceled
	}
	return nil
}

// Deadline implements context.Context.
func (d *delivery) Deadline() (time.Time, bool) { return time.Time{}, false }
