package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
	told atomic.Bool             // that it begins elsewhere is acknowledged, if it does; until then nothing is kept of it
	held atomic.Pointer[waiting] // what is behind an open transaction; nil for nothing
	kept int64                   // the place that is written to Kafka; -1 for none. The committer's.

	// What follows is the fetcher's, or that of the subscription's goroutine between two laps.
	offset  int64     // to fetch next
	epoch   int32     // of its leader
	size    int32     // bytes to fetch
	alone   bool      // must be asked for alone: its answer was empty, and should not have been
	failing time.Time // since when it cannot be read; zero while it can
	known   bool      // was read once

	// What follows is its own goroutine's.
	todo   []pack
	open   *unpacked   // the first of todo, once it is begun
	passed int64       // up to where that is read
	end    int64       // where to read on when todo is empty and everything acknowledged
	ready  *delivery   // what comes next
	window []*delivery // out, the oldest first
	nacked *delivery   // the oldest, to be delivered again
	timer  *time.Timer // until then
	names  map[string]string
}

// waiting is what a partition has that nobody may read before a transaction of another program has ended.
type waiting struct {
	since      time.Time
	from, high int64 // offsets: of the first, and behind the last
}

// await notes, of a fetch that found everything up to stable, whether there is more that waits for a transaction.
func (p *partition) await(b *block) {
	w := p.held.Load()
	switch {
	case b.high <= b.stable || p.offset < b.stable:
		if w != nil {
			p.held.Store(nil)
		}
	case w == nil || w.from != b.stable:
		p.held.Store(&waiting{time.Now(), b.stable, b.high})
	case w.high != b.high:
		p.held.Store(&waiting{w.since, b.stable, b.high})
	}
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
	p.s.held.release(d.size)
	p.window[0] = nil
	p.window = p.window[1:]
	p.at.Store(d.next)
	p.told.Store(true)
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
	if p.ready == nil {
		p.ready = p.next()
	}
	if len(p.window) >= p.s.t.cfg.Window || len(p.window) > 0 && p.s.held.full() != nil {
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
	p.s.held.take(d.size)
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
	var room <-chan struct{}
	if d == nil && p.ready != nil {
		room = p.s.held.full()
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
		p.todo, p.end = c.packs, c.end
		if f := p.by.Load(); f != nil { // of the first one, which nobody fetched
			f.fed()
		}
		p.rest()
	case <-room:
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
		p.s.held.release(d.size)
	}
	if p.open != nil {
		p.open.close()
	}
}

// next makes a message of what was fetched, nil where there is nothing left of it. What cannot be read never holds up the rest.
func (p *partition) next() *delivery {
	for len(p.todo) > 0 {
		k := &p.todo[0]
		if k.trouble != "" {
			d := p.unread(k, k.first, k.trouble)
			p.shift()
			return d
		}
		err := error(nil)
		if p.open == nil {
			p.passed = k.from
			p.open, err = unpack(k.first, k.count, k.codec, k.packed)
		}
		var r unpackedRecord
		if err == nil {
			r, err = p.open.next()
		}
		switch {
		case errors.Is(err, io.EOF) && p.open != nil && p.open.left <= 0 && r.size == 0:
			p.shift()
		case err != nil || r.offset >= k.end:
			d := p.unread(k, p.passed, fmt.Sprintf("topic %s, partition %d: offsets %d to %d cannot be unpacked: %v",
				p.s.topic, p.id, p.passed, k.end-1, err))
			p.shift()
			return d
		case r.offset >= p.passed:
			p.passed = r.offset + 1
			return p.make(&r)
		}
	}
	return nil
}

// shift ends the first of todo.
func (p *partition) shift() {
	if p.open != nil {
		p.open.close()
		p.open = nil
	}
	p.todo[0] = pack{}
	p.todo = p.todo[1:]
}

// unread is what is wrong with k as a message at an offset, with the beginning of what there is of it.
func (p *partition) unread(k *pack, at int64, trouble string) *delivery {
	place := place(p.s.topic, p.id, at)
	msg := message.NewMessage(place, bytes.Clone(k.packed[:min(len(k.packed), beginning)]))
	if msg.Payload == nil {
		msg.Payload = []byte{}
	}
	msg.Metadata[wire.MetaPosition], msg.Metadata[wire.MetaTrouble] = place, trouble
	if k.begins {
		msg.Metadata[wire.MetaFirst] = "true"
	}
	return newDelivery(p.s.ctx, msg, at, k.end)
}

// make is r as a message.
func (p *partition) make(r *unpackedRecord) *delivery {
	place := place(p.s.topic, p.id, r.offset)
	msg := newMessage(r.key, r.value, r.headers, place, p.names)
	if r.tooLarge {
		msg.Metadata[wire.MetaTrouble] = fmt.Sprintf("topic %s, partition %d, offset %d: the record is %d bytes when it is unpacked: more than %d, or %d of key and headers, are not taken; this is its beginning",
			p.s.topic, p.id, r.offset, r.size, maxRecord, maxMeta)
	}
	d := newDelivery(p.s.ctx, msg, r.offset, r.offset+1)
	d.size = int64(r.size)
	if r.tooLarge {
		d.size = int64(len(r.value))
	}
	return d
}
