package wiretest

import (
	"context"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// brokerPause is how long a nacked message stays away. Without one, a reader that always refuses would keep a bubble's time
// from passing.
const brokerPause = 100 * time.Millisecond

// brokerReader is one subscription. The broker's mutex guards its fields, but for the channels.
type brokerReader struct {
	end      *End
	topic    *brokerTopic
	group    *brokerGroup
	turn     int                   // the partition whose turn it is
	next     [brokerPartitions]int // what was never delivered begins here
	flights  []*brokerFlight       // delivered, and not answered
	again    []*brokerFlight       // nacked
	answered [brokerPartitions]map[int]bool
	stopped  bool

	out  chan *message.Message
	wake chan struct{} // holds one: there may be something to deliver
	over chan struct{} // closed by stop
}

// brokerFlight is a message that was delivered.
type brokerFlight struct {
	msg               *message.Message
	partition, offset int
	due               time.Time // when it comes again, if it was nacked
}

func (r *brokerReader) run(ctx context.Context) {
	defer close(r.out)
	defer func() {
		r.end.broker.mu.Lock()
		defer r.end.broker.mu.Unlock()
		r.stop()
	}()
	for {
		msg, pause := r.pick(ctx)
		if msg == nil {
			if !r.rest(ctx, pause) {
				return
			}
			continue
		}
		// What was picked is what comes: whether a nack of this instant gets in before must not be a matter of luck.
		select {
		case r.out <- msg:
		case <-ctx.Done():
			return
		case <-r.over:
			return
		}
	}
}

// rest waits for something to deliver, at most pause unless that is 0. It returns false when the subscription has ended.
func (r *brokerReader) rest(ctx context.Context, pause time.Duration) bool {
	var due <-chan time.Time
	if pause > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-r.wake:
	case <-due:
	case <-ctx.Done():
		return false
	case <-r.over:
		return false
	}
	return true
}

// pick takes the message that is to be delivered now. If there is none, pause says when one that was nacked comes again.
func (r *brokerReader) pick(ctx context.Context) (msg *message.Message, pause time.Duration) {
	r.end.broker.mu.Lock()
	defer r.end.broker.mu.Unlock()
	r.sweep()
	if r.stopped || len(r.flights) >= brokerWindow {
		return nil, 0
	}
	now := time.Now()
	for i := range brokerPartitions {
		p := (r.turn + i) % brokerPartitions
		if offset, ok := r.ready(p, now); ok {
			r.turn = (p + 1) % brokerPartitions
			return r.launch(ctx, p, offset), 0
		}
	}
	for _, f := range r.again {
		if wait := f.due.Sub(now); pause == 0 || wait < pause {
			pause = wait
		}
	}
	return nil, pause
}

// ready is what a partition has to deliver: what was nacked a while ago, else what is new.
func (r *brokerReader) ready(partition int, now time.Time) (offset int, ok bool) {
	for i, f := range r.again {
		if f.partition == partition && !f.due.After(now) {
			r.again = slices.Delete(r.again, i, i+1)
			return f.offset, true
		}
	}
	offset = r.next[partition]
	if offset == len(r.topic.partitions[partition]) {
		return 0, false
	}
	r.next[partition]++
	return offset, true
}

// launch makes the message, and has its answer waited for.
func (r *brokerReader) launch(ctx context.Context, partition, offset int) *message.Message {
	ctx, cancel := context.WithCancel(ctx)
	msg := r.topic.message(partition, offset)
	msg.SetContext(ctx)
	r.flights = append(r.flights, &brokerFlight{msg: msg, partition: partition, offset: offset})
	r.end.running.Go(func() {
		defer cancel()
		select {
		case <-msg.Acked():
		case <-msg.Nacked():
		case <-r.over:
		}
		r.nudge()
	})
	return msg
}

// nudge makes the reader look whether there is something to deliver.
func (r *brokerReader) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// sweep takes in all answers that were given, in the order of delivery, so that it does not matter who ran first.
func (r *brokerReader) sweep() {
	if r.stopped {
		return
	}
	r.flights = slices.DeleteFunc(r.flights, func(f *brokerFlight) bool {
		select {
		case <-f.msg.Acked():
			r.acknowledge(f)
			return true
		case <-f.msg.Nacked():
			f.due = time.Now().Add(brokerPause)
			r.again = append(r.again, f)
			return true
		default:
			return false
		}
	})
}

// acknowledge moves the group's place over what is acknowledged without a gap.
func (r *brokerReader) acknowledge(f *brokerFlight) {
	p := f.partition
	if r.answered[p] == nil {
		r.answered[p] = map[int]bool{}
	}
	r.answered[p][f.offset] = true
	for place := &r.group.places[p]; r.answered[p][*place]; *place++ {
		delete(r.answered[p], *place)
	}
}

// ahead counts what is acknowledged behind a gap.
func (r *brokerReader) ahead() int {
	n := 0
	for _, offsets := range r.answered {
		n += len(offsets)
	}
	return n
}

// stop ends the subscription. Answers that come later count no more: the next reader is given those messages.
func (r *brokerReader) stop() {
	if r.stopped {
		return
	}
	r.sweep()
	r.stopped = true
	close(r.over)
	if r.group.reader == r {
		r.group.reader = nil
	}
	r.end.readers = slices.DeleteFunc(r.end.readers, func(other *brokerReader) bool { return other == r })
}
