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
	// rowBytes is what a message takes beside its payload, about.
	rowBytes = 1 << 10
	// nackPause is how long a message that was nacked waits for its next delivery.
	nackPause = 100 * time.Millisecond
)

// flight is a message between the table and its acknowledgement.
type flight struct {
	place place
	msg   *message.Message
	size  int
	acked bool
}

// window is the messages that a subscription has read and that are not known as acknowledged, with all that are behind one such.
type window struct {
	ctx     context.Context // ends all deliveries
	out     chan *message.Message
	change  func()         // is called, with mu held, when there is a new place to keep, or room again
	handing sync.WaitGroup // goroutines

	mu      sync.Mutex
	flights []*flight // in order, from the oldest that is not acknowledged on
	bytes   int
	acked   place     // everything up to here is acknowledged
	queue   []*flight // to be handed out: what was nacked and is due, then what is new
	again   int       // how many of the queue were nacked
	more    chan struct{}
}

func newWindow(ctx context.Context, start place, out chan *message.Message, change func()) *window {
	w := &window{ctx: ctx, out: out, change: change, acked: start, more: make(chan struct{}, 1)}
	w.handing.Go(w.deliver)
	return w
}

// hasRoom says whether more may be read. mu is held.
func (w *window) hasRoom() bool { return len(w.flights) < windowRows && w.bytes < windowBytes }

// add takes messages, in order.
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

// deliver hands messages out until the end.
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
			w.handing.Go(func() { w.settle(f, msg, cancel) })
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
	w.again = max(w.again-1, 0)
	return f
}

// settle waits for the answer to a delivery. One that has come when the subscription ends counts.
func (w *window) settle(f *flight, msg *message.Message, cancel context.CancelFunc) {
	defer cancel()
	select {
	case <-msg.Acked():
	case <-msg.Nacked():
		cancel()
		if pause.For(w.ctx, nackPause) {
			w.repeat(f)
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

func (w *window) repeat(f *flight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f.msg = f.msg.Copy()
	w.queue = append(w.queue, nil)
	copy(w.queue[w.again+1:], w.queue[w.again:])
	w.queue[w.again] = f
	w.again++
	w.poke()
}

func (w *window) ack(f *flight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f.acked = true
	before := w.acked
	for len(w.flights) > 0 && w.flights[0].acked {
		w.acked = w.flights[0].place
		w.bytes -= w.flights[0].size
		w.flights[0] = nil
		w.flights = w.flights[1:]
	}
	if w.acked != before {
		w.change()
	}
}

// drain takes back what was not taken.
func (w *window) drain() {
	for {
		select {
		case <-w.out:
		default:
			return
		}
	}
}
