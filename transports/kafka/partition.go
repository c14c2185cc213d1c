package kafka

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
)

// nackPause is how long a message that was nacked waits, so that whoever cannot take it is not asked all the time.
const nackPause = 100 * time.Millisecond

// partition is one of a subscription's. A fetcher (fetch.go) reads it ahead and fills feed; its own goroutine delivers, waits
// for acknowledgements, and moves place.
type partition struct {
	s    *subscription
	id   int32
	feed chan chunk              // of capacity 2: with one, p would be left out of the request that follows each chunk
	by   atomic.Pointer[fetcher] // who is to be told that feed was emptied
	at   atomic.Int64            // the place: everything before this offset is acknowledged
	kept int64                   // the place that is written to Kafka; -1 for none. The committer's.

	// What follows is the fetcher's, or that of the subscription's goroutine between two laps.
	offset  int64     // to fetch next
	epoch   int32     // of its leader
	size    int32     // bytes to fetch
	alone   bool      // must be asked for alone: its answer was empty, and should not have been
	failing time.Time // since when it cannot be read; zero while it can
	known   bool      // was read once

	// What follows is its own goroutine's.
	todo   []entry
	end    int64       // where to read on when todo is empty and everything acknowledged
	ready  *delivery   // made of the first of todo
	window []*delivery // out, the oldest first
	nacked *delivery   // the oldest, to be delivered again
	timer  *time.Timer // until then
	names  map[string]string
}

// hungry reports whether the fetcher should ask for more.
func (p *partition) hungry() bool { return len(p.feed) < cap(p.feed) }

// run delivers until ctx ends.
func (p *partition) run(ctx context.Context) {
	defer p.finish()
	for {
		for p.settle() {
		}
		d := p.pick()
		if d != nil {
			select { // the fast way, where there is room
			case p.s.out <- d.msg:
				p.sent(d)
				if ctx.Err() != nil {
					return
				}
				continue
			default:
			}
		}
		if !p.wait(ctx, d) {
			return
		}
	}
}

// settle takes the oldest message out of the window if it is acknowledged. It reports whether there may be more.
func (p *partition) settle() bool {
	if len(p.window) == 0 || p.nacked != nil {
		return false
	}
	d := p.window[0]
	select {
	case <-d.msg.Acked():
		p.acked()
		return true
	default:
	}
	select {
	case <-d.msg.Nacked():
		p.resend()
	default:
	}
	return false
}

// acked moves the place.
func (p *partition) acked() {
	d := p.window[0]
	d.end()
	p.window[0] = nil
	p.window = p.window[1:]
	p.at.Store(d.next)
	p.rest()
}

// rest moves the place behind records that are not delivered, such as those of aborted transactions.
func (p *partition) rest() {
	if len(p.window) == 0 && len(p.todo) == 0 && p.ready == nil {
		p.at.Store(p.end)
	}
}

// resend has the oldest message delivered again, a little later.
func (p *partition) resend() {
	p.window[0].end()
	p.nacked = p.window[0].again()
	p.timer = time.NewTimer(nackPause)
}

// pick returns what can be delivered now, nil for nothing.
func (p *partition) pick() *delivery {
	if p.nacked != nil && p.timer == nil {
		return p.nacked
	}
	if p.ready == nil && len(p.todo) > 0 {
		p.ready = p.make(&p.todo[0])
		p.todo[0] = entry{}
		p.todo = p.todo[1:]
	}
	if len(p.window) >= p.s.t.cfg.Window {
		return nil
	}
	return p.ready
}

// sent notes that d is out.
func (p *partition) sent(d *delivery) {
	if d == p.nacked {
		p.window[0], p.nacked = d, nil
		return
	}
	p.window, p.ready = append(p.window, d), nil
}

// wait waits for something to do, and does it. It reports whether the subscription goes on.
func (p *partition) wait(ctx context.Context, d *delivery) bool {
	var out chan<- *message.Message
	var msg *message.Message
	if d != nil {
		out, msg = p.s.out, d.msg
	}
	var acked, nacked <-chan struct{}
	if len(p.window) > 0 && p.nacked == nil {
		acked, nacked = p.window[0].msg.Acked(), p.window[0].msg.Nacked()
	}
	var feed <-chan chunk
	if p.ready == nil && len(p.todo) == 0 {
		feed = p.feed
	}
	var timer <-chan time.Time
	if p.timer != nil {
		timer = p.timer.C
	}
	select {
	case out <- msg:
		p.sent(d)
	case <-acked:
		p.acked()
	case <-nacked:
		p.resend()
	case c := <-feed:
		p.todo, p.end = c.entries, c.end
		p.by.Load().fed()
		p.rest()
	case <-timer:
		p.timer = nil
	case <-ctx.Done():
		return false
	}
	return true
}

// finish counts what is acknowledged by now, and ends the contexts of the rest.
func (p *partition) finish() {
	for p.settle() {
	}
	for _, d := range p.window {
		d.end()
	}
}

// make is e as a message.
func (p *partition) make(e *entry) *delivery {
	place := place(p.s.topic, p.id, e.offset)
	if e.trouble != "" {
		msg := message.NewMessage(place, []byte{})
		msg.Metadata[wire.MetaPlace], msg.Metadata[wire.MetaTrouble] = place, e.trouble
		return newDelivery(p.s.ctx, msg, e.offset, e.next)
	}
	r := e.record
	return newDelivery(p.s.ctx, newMessage(r.Key, r.Value, r.Headers, place, p.names), e.offset, e.next)
}
