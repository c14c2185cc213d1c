package wiretest

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
)

// checkOrder runs several publishers that send batches of different sizes concurrently, each with its own keys, and
// with messages without a key in between. A group reads from the start, acknowledging each message; another group reads
// after the last message, acknowledging in groups.
func checkOrder(s *stage) error {
	const publishers = 4
	sent := map[string]int{}
	var plans [publishers][][]*message.Message
	for i := range plans {
		plans[i] = plan(i, sent)
	}
	early := s.start("early").read()
	answers := make(chan error, publishers+1)
	go func() { answers <- early.all(newLedger(sent)) }()
	shared := [2]*process{s.start("sender-a"), s.start("sender-b")}
	for i, batches := range plans {
		p := shared[i%len(shared)]
		go func() {
			var err error
			for n := 0; n < len(batches) && err == nil; n++ {
				err = p.publish(batches[n]...)
			}
			answers <- err
		}()
	}
	var errs []error
	for range cap(answers) {
		errs = append(errs, <-answers)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := early.end(); err != nil {
		return err
	}
	late := s.start("late").read()
	if err := late.inGroups(newLedger(sent), 50); err != nil {
		return fmt.Errorf("the group that came later: %w", err)
	}
	return late.end()
}

// plan returns the batches of a publisher, and adds the messages to sent.
func plan(publisher int, sent map[string]int) [][]*message.Message {
	const keys = 5
	var batches [][]*message.Message
	count := 0
	for _, size := range []int{1, 500, 2, 1, 61, 7, 250, 1, 13, 1, 100, 3} {
		var batch []*message.Message
		for range size {
			series := fmt.Sprintf("key-%d-%d", publisher, count%keys)
			switch {
			case count%7 == 0:
				series = fmt.Sprintf("%s%d", loose, publisher)
			case count%keys == 0:
				series = bare + series
			}
			batch = append(batch, letter(series, sent[series]))
			sent[series]++
			count++
		}
		batches = append(batches, batch)
	}
	return batches
}

// inGroups reads until the ledger is complete, with acknowledgements like an ingest that commits many messages at once.
func (r *reading) inGroups(l *ledger, size int) error {
	var group []*message.Message
	for !l.complete() {
		msg, err := r.next(l.missing)
		if err != nil {
			return err
		}
		if err := l.take(msg); err != nil {
			return err
		}
		if group = append(group, msg); len(group) == size || l.complete() {
			for _, msg := range group {
				msg.Ack()
			}
			group = nil
		}
	}
	return nil
}

// checkGroups subscribes before, between and after the messages. A topic must have only its own messages.
func checkGroups(s *stage) error {
	const other = "payment"
	first := s.start("first")
	early, elsewhere := first.read(), first.readTopic(other)
	if err := errors.Join(early.subscribe(), elsewhere.subscribe()); err != nil {
		return err
	}
	sender := s.start("sender")
	both := map[string]int{"a": 40, "b": 40}
	if err := errors.Join(sender.publish(letters("a", 0, 40)...), sender.Publish(other, letters("c", 0, 30)...)); err != nil {
		return err
	}
	if err := elsewhere.all(newLedger(map[string]int{"c": 30})); err != nil {
		return fmt.Errorf("another topic: %w", err)
	}
	middle := s.start("second").read()
	if err := middle.subscribe(); err != nil {
		return err
	}
	if err := sender.publish(letters("b", 0, 40)...); err != nil {
		return err
	}
	for name, r := range map[string]*reading{"first": early, "second": middle} {
		if err := r.all(newLedger(both)); err != nil {
			return fmt.Errorf("group %s: %w", name, err)
		}
	}
	if err := s.readAll("third", newLedger(both)); err != nil {
		return fmt.Errorf("a group that came after the last message: %w", err)
	}
	if err := errors.Join(early.end(), elsewhere.end(), middle.end()); err != nil {
		return err
	}
	another := first.read()
	another.ctx = wire.WithPosition(another.ctx, "another")
	if err := another.all(newLedger(both)); err != nil {
		return fmt.Errorf("another position of the first group: %w", err)
	}
	return another.end()
}

// checkNoWait reads a hundred messages of a key without any answer.
func checkNoWait(s *stage) error {
	const count = 100
	p := s.start("reader")
	if err := p.publish(letters("a", 0, count)...); err != nil {
		return err
	}
	l := newLedger(map[string]int{"a": count})
	r := p.read()
	var messages []*message.Message
	for !l.complete() {
		msg, err := r.next(l.missing)
		if err != nil {
			return fmt.Errorf("without an acknowledgement: %w", err)
		}
		if err := l.take(msg); err != nil {
			return err
		}
		messages = append(messages, msg)
	}
	for i := range messages { // backwards: the order of answers is free
		messages[len(messages)-1-i].Ack()
	}
	return r.end()
}

// checkNack refuses some messages of two keys, one of these twice. The refused messages must come again from the same
// positions, and all other messages must come, too.
func checkNack(s *stage) error {
	const count = 20
	p := s.start("reader")
	if err := p.publish(append(letters("a", 0, count), letters("b", 0, count)...)...); err != nil {
		return err
	}
	refuse := map[string]int{letterID("a", 0): 1, letterID("a", 7): 2, letterID("b", count-1): 1}
	l := newLedger(map[string]int{"a": count, "b": count}) // for the missing messages only: nacks change the order
	seen := map[string]string{}
	r := p.read()
	for !l.complete() {
		msg, err := r.next(l.missing)
		if err != nil {
			return err
		}
		if was, ok := seen[msg.UUID]; ok && was != positionOf(msg) {
			return fmt.Errorf("message %s comes again from %s, and was at %s", msg.UUID, positionOf(msg), was)
		}
		seen[msg.UUID] = positionOf(msg)
		if refuse[msg.UUID] > 0 {
			refuse[msg.UUID]--
			msg.Nack()
			continue
		}
		delete(l.need, msg.UUID)
		msg.Ack()
	}
	if err := errors.Join(r.end(), p.close()); err != nil {
		return err
	}
	return s.checkNoneAnew(map[string]int{"a": count, "b": count}, count)
}

// checkNoneAnew starts another process of the readers' group after all messages were acknowledged. The process must get
// the new messages, and at most limit old ones.
func (s *stage) checkNoneAnew(sent map[string]int, limit int) error {
	p := s.start("reader")
	l := newLedger(sent)
	clear(l.need)
	for series, n := range sent {
		if err := p.publish(letter(series, n)); err != nil {
			return err
		}
		l.need[letterID(series, n)] = true
		sent[series]++
	}
	if err := p.read().all(l); err != nil {
		return fmt.Errorf("a process after every message was acknowledged: %w", err)
	}
	return l.anew("a process after every message was acknowledged", limit)
}
