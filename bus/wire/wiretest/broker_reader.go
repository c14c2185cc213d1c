package wiretest

import (
	"context"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// brokerPause delays a nacked message. Without a pause, a reader that always refuses would stop a bubble's time.
const brokerPause = 100 * time.Millisecond

// brokerReader is a subscription. The broker's mutex guards the fields except the channels.
type brokerReader struct {
	end      *End
	topic    *brokerTopic
	group    *brokerGroup
	turn     int                   // the next partition to read
	next     [brokerPartitions]int // the first offset that was never delivered
	flights  []*brokerFlight       // delivered, but not answered
	again    []*brokerFlight       // nacked
	answered [brokerPartitions]map[int]bool
	stopped  bool

	out  chan *message.Message
	wake chan struct{} // capacity 1: there may be a message to deliver
	over chan struct{} // closed by stop
}

// brokerFlight is a delivered message.
type brokerFlight struct {
	msg               *message.Message
	partition, offset int
	due               time.Time // the time of the next delivery after a nack
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
		// The picked message comes next. Otherwise, a concurrent nack could come first or not, by chance.
		select {
		case r.out <- msg:
		case <-ctx.Done():
			return
		case <-r.over:
			return
		}
	}
}

// rest waits for a message, up to pause unless pause is 0. rest returns false after the end of the subscription.
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

// pick returns the next message. If there is none, pause is the time until a nacked message is due.
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

// ready returns the next offset of a partition: a nacked message that is due, or else a new message.
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

// launch creates the message, and waits for the answer in a goroutine.
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

// nudge wakes the reader to look for messages.
func (r *brokerReader) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// sweep processes all answers in the order of delivery, so that the order of goroutines does not matter.
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

// acknowledge moves the group's position past the messages that are acknowledged without a gap.
func (r *brokerReader) acknowledge(f *brokerFlight) {
	p := f.partition
	if r.answered[p] == nil {
		r.answered[p] = map[int]bool{}
	}
	r.answered[p][f.offset] = true
	for position := &r.group.positions[p]; r.answered[p][*position]; *position++ {
		delete(r.answered[p], *position)
	}
}

// ahead counts the acknowledged messages after a gap.
func (r *brokerReader) ahead() int {
	n := 0
	for _, offsets := range r.answered {
		n += len(offsets)
	}
	return n
}

// stop ends the subscription. Later answers are ignored: the next reader gets the messages again.
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
