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

// nackPause is how long a nacked message waits, so that a failing subscriber is not called all the time.
const nackPause = 100 * time.Millisecond

// partition is a partition of a subscription. A fetcher (fetch.go) reads ahead and fills feed. The partition's
// goroutine delivers, waits for acknowledgements, and moves the position.
type partition struct {
	s          *subscription
	id         int32
	feed       chan chunk              // of capacity 2: with 1, the request after each chunk would leave out p
	fetcher    atomic.Pointer[fetcher] // to wake when feed has room
	at         atomic.Int64            // the position: all messages before this offset are acknowledged
	startTaken atomic.Bool             // until a trouble at the start is acknowledged, no position is committed
	held       atomic.Pointer[waiting] // records after the start of an open transaction; nil for none
	kept       int64                   // the committed offset, -1 for none; used by the committer

	// The fetcher owns the fields below, and between two laps the subscription's goroutine.
	offset  int64     // to fetch next
	epoch   int32     // epoch of the leader
	size    int32     // bytes to fetch
	single  bool      // must be fetched alone: its answer was empty, and should not have been
	failing time.Time // when reading began to fail; zero while reading works
	known   bool      // was fetched at least once

	// The partition's goroutine owns the fields below.
	todo   []pack
	open   *unpacked   // the batch of todo[0], once it is begun
	passed int64       // open is read up to this offset
	end    int64       // the offset after todo
	ready  *delivery   // the next message
	window []*delivery // in flight, the oldest first
	nacked *delivery   // the oldest of window, for its next delivery
	timer  *time.Timer // fires at that delivery
	names  map[string]string
}

// waiting is a range of records that cannot be read before a transaction of another program has ended.
type waiting struct {
	since      time.Time
	from, high int64 // offsets: of the first record, and after the last
}

// await notes the records after the last stable offset, which wait for an open transaction, once all before are read.
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

// hungry reports whether there is room for a chunk.
func (p *partition) hungry() bool { return len(p.feed) < cap(p.feed) }

// run delivers messages until ctx ends.
func (p *partition) run(ctx context.Context) {
	defer p.finish()
	for {
		for p.settle() {
		}
		d := p.pick()
		if d != nil {
			select { // the fast path, while out has room
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

// settle removes the oldest message from the window if it is acknowledged. It reports whether there may be more.
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

// acked moves the position after the oldest message of the window.
func (p *partition) acked() {
	d := p.window[0]
	d.end()
	p.s.held.release(d.size)
	p.window[0] = nil
	p.window = p.window[1:]
	p.at.Store(d.next)
	p.startTaken.Store(true)
	p.skipUndelivered()
}

// skipUndelivered moves the position after records that are not delivered, such as those of aborted transactions.
func (p *partition) skipUndelivered() {
	if len(p.window) == 0 && len(p.todo) == 0 && p.ready == nil {
		p.at.Store(p.end)
	}
}

// resend schedules another delivery of the oldest message.
func (p *partition) resend() {
	p.window[0].end()
	p.nacked = p.window[0].redelivery()
	p.timer = time.NewTimer(nackPause)
}

// pick returns the message to deliver now, or nil.
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

// sent notes that d is delivered.
func (p *partition) sent(d *delivery) {
	if d == p.nacked {
		p.window[0], p.nacked = d, nil
		return
	}
	p.s.held.take(d.size)
	p.window, p.ready = append(p.window, d), nil
}

// wait waits for the next thing to do, and does it. It returns false when ctx ends.
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
		if f := p.fetcher.Load(); f != nil { // nil for a first chunk that was not fetched
			f.wakeUp()
		}
		p.skipUndelivered()
	case <-room:
	case <-timer:
		p.timer = nil
	case <-ctx.Done():
		return false
	}
	return true
}

// finish counts the last acknowledgements, and ends the contexts of the other messages.
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

// next returns the next message of todo, or nil when todo is empty. Data that cannot be read become a message with the
// trouble, and never hold up the rest.
func (p *partition) next() *delivery {
	for len(p.todo) > 0 {
		k := &p.todo[0]
		if k.trouble != "" {
			d := p.troubled(k, k.first, k.trouble)
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
			d := p.troubled(k, p.passed, fmt.Sprintf("topic %s, partition %d: offsets %d to %d cannot be unpacked: %v",
				p.s.topic, p.id, p.passed, k.end-1, err))
			p.shift()
			return d
		case r.offset >= p.passed:
			p.passed = r.offset + 1
			return p.message(&r)
		}
	}
	return nil
}

// shift removes the first batch of todo.
func (p *partition) shift() {
	if p.open != nil {
		p.open.close()
		p.open = nil
	}
	p.todo[0] = pack{}
	p.todo = p.todo[1:]
}

// troubled returns a message at an offset that reports trouble, with the beginning of the data in k.
func (p *partition) troubled(k *pack, at int64, trouble string) *delivery {
	position := positionName(p.s.topic, p.id, at)
	msg := message.NewMessage(position, bytes.Clone(k.packed[:min(len(k.packed), maxExcerpt)]))
	if msg.Payload == nil {
		msg.Payload = []byte{}
	}
	msg.Metadata[wire.MetaPosition], msg.Metadata[wire.MetaTrouble] = position, trouble
	if k.beforeFirst {
		msg.Metadata[wire.MetaFirst] = "true"
	}
	return newDelivery(p.s.ctx, msg, at, k.end)
}

// message returns r as a message.
func (p *partition) message(r *unpackedRecord) *delivery {
	position := positionName(p.s.topic, p.id, r.offset)
	msg := newMessage(r.key, r.value, r.headers, position, p.names)
	if r.tooLarge {
		msg.Metadata[wire.MetaTrouble] = fmt.Sprintf("topic %s, partition %d, offset %d: the record is %d bytes when it is unpacked, over the limit of %d, or of %d for key and headers; this is its beginning",
			p.s.topic, p.id, r.offset, r.size, maxRecord, maxMeta)
	}
	d := newDelivery(p.s.ctx, msg, r.offset, r.offset+1)
	d.size = int64(r.size)
	if r.tooLarge {
		d.size = int64(len(r.value))
	}
	return d
}
