package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/internal/pause"
)

const (
	// How far a reader goes beyond the oldest message that is not acknowledged.
	windowRows  = 10_000
	windowBytes = 64 << 20
	// rowBytes is the approximate size of a message without its payload.
	rowBytes = 1 << 10
	// nackPause is how long a nacked message waits for its next delivery.
	nackPause = 100 * time.Millisecond
)

// flight is a message between the table and its acknowledgement.
type flight struct {
	position position
	msg      *message.Message
	size     int
	acked    bool
}

// window contains the messages that were read, from the oldest message that is not acknowledged on.
type window struct {
	ctx        context.Context // ends all deliveries
	out        chan *message.Message
	change     func()         // called, with mu held, when the position moved or there is room again
	delivering sync.WaitGroup // of the goroutines

	mu      sync.Mutex
	flights []*flight // in order; the first is not acknowledged
	bytes   int
	acked   position  // all messages up to here are acknowledged
	queue   []*flight // to be delivered: nacked messages first, then new messages
	nacked  int       // number of nacked messages in queue
	more    chan struct{}
}

func newWindow(ctx context.Context, start position, out chan *message.Message, change func()) *window {
	w := &window{ctx: ctx, out: out, change: change, acked: start, more: make(chan struct{}, 1)}
	w.delivering.Go(w.deliver)
	return w
}

// hasRoom reports whether there is room for more messages. The caller holds mu.
func (w *window) hasRoom() bool { return len(w.flights) < windowRows && w.bytes < windowBytes }

// add appends messages, in order.
func (w *window) add(flights []*flight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range flights {
		w.bytes += f.size
	}
	w.flights = append(w.flights, flights...)
	w.queue = append(w.queue, flights...)
	w.poke()
}

func (w *window) poke() {
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// deliver delivers messages until ctx ends.
func (w *window) deliver() {
	for {
		f := w.next()
		if f == nil {
			select {
			case <-w.more:
				continue
			case <-w.ctx.Done():
				return
			}
		}
		ctx, cancel := context.WithCancel(w.ctx)
		f.msg.SetContext(ctx)
		msg := f.msg
		select {
		case w.out <- msg:
			w.delivering.Go(func() { w.settle(f, msg, cancel) })
		case <-w.ctx.Done():
			cancel()
			return
		}
	}
}

func (w *window) next() *flight {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return nil
	}
	f := w.queue[0]
	w.queue[0] = nil
	w.queue = w.queue[1:]
	w.nacked = max(w.nacked-1, 0)
	return f
}

// settle waits for the answer to a delivery. An acknowledgement before the end of the subscription counts.
func (w *window) settle(f *flight, msg *message.Message, cancel context.CancelFunc) {
	defer cancel()
	select {
	case <-msg.Acked():
	case <-msg.Nacked():
		cancel()
		if pause.For(w.ctx, nackPause) {
			w.redeliver(f)
		}
		return
	case <-w.ctx.Done():
		select {
		case <-msg.Acked():
		default:
			return
		}
	}
	w.ack(f)
}

func (w *window) redeliver(f *flight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f.msg = f.msg.Copy()
	w.queue = append(w.queue, nil)
	copy(w.queue[w.nacked+1:], w.queue[w.nacked:])
	w.queue[w.nacked] = f
	w.nacked++
	w.poke()
}

func (w *window) ack(f *flight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f.acked = true
	before := w.acked
	for len(w.flights) > 0 && w.flights[0].acked {
		w.acked = w.flights[0].position
		w.bytes -= w.flights[0].size
		w.flights[0] = nil
		w.flights = w.flights[1:]
	}
	if w.acked != before {
		w.change()
	}
}

// drain removes undelivered messages from out.
func (w *window) drain() {
	for {
		select {
		case <-w.out:
		default:
			return
		}
	}
}
