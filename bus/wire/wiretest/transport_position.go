package wiretest

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
)

func positionOf(msg *message.Message) string { return msg.Metadata[wire.MetaPosition] }

// A reader stops in the middle: it has acknowledged the first messages except one, and holds some.
const (
	halfwaySent  = 1000
	halfwayKeys  = 7
	halfwayAcked = 600
	halfwayGap   = 570 // the only message in the first that is not acknowledged
	halfwayHeld  = 30
	// halfwayAgain limits the repeated messages after an orderly end: a transport need not save each position.
	halfwayAgain = halfwayAcked / 2
)

// publishHalfway sends the messages.
func (p *process) publishHalfway() (sent map[string]int, err error) {
	sent = map[string]int{}
	var batch []*message.Message
	for n := range halfwaySent {
		series := fmt.Sprintf("key-%d", n%halfwayKeys)
		batch = append(batch, letter(series, sent[series]))
		sent[series]++
	}
	return sent, p.publish(batch...)
}

// readHalfway reads until the middle, and returns a ledger of the messages for the next reader, and the positions.
func (r *reading) readHalfway(sent map[string]int) (rest *ledger, seen map[string]string, err error) {
	l, rest, seen := newLedger(sent), newLedger(sent), map[string]string{}
	for n := 0; n < halfwayAcked+halfwayHeld; {
		msg, err := r.next(l.missing)
		if err != nil {
			return nil, nil, err
		}
		before := l.again
		if err := l.take(msg); err != nil {
			return nil, nil, err
		}
		seen[msg.UUID] = positionOf(msg)
		if l.again > before { // the channel was opened again
			msg.Ack()
			delete(rest.need, msg.UUID)
			continue
		}
		if n < halfwayAcked && n != halfwayGap {
			msg.Ack()
			delete(rest.need, msg.UUID)
		}
		n++
	}
	return rest, seen, nil
}

// readRest reads the rest after another reader.
func (r *reading) readRest(rest *ledger, seen map[string]string) error {
	for !rest.complete() {
		msg, err := r.next(rest.missing)
		if err != nil {
			return fmt.Errorf("a message without an acknowledgement must come again: %w", err)
		}
		if err := rest.take(msg); err != nil {
			return err
		}
		if was, ok := seen[msg.UUID]; ok && was != positionOf(msg) {
			return fmt.Errorf("message %s comes again from %s, and was at %s", msg.UUID, positionOf(msg), was)
		}
		msg.Ack()
	}
	return nil
}

// anew returns an error if more than limit messages came again.
func (l *ledger) anew(who string, limit int) error {
	if l.again > limit {
		return fmt.Errorf("%s got %d acknowledged messages again: the position is lost", who, l.again)
	}
	return nil
}

// checkPosition reads a half in each of two processes of a group. A third must get only new messages.
func checkPosition(s *stage) error {
	first := s.start("reader")
	sent, err := first.publishHalfway()
	if err != nil {
		return err
	}
	rest, seen, err := first.read().readHalfway(sent)
	if err != nil {
		return err
	}
	if err := first.close(); err != nil {
		return err
	}

	second := s.start("reader")
	if err := second.read().readRest(rest, seen); err != nil {
		return fmt.Errorf("the next process: %w", err)
	}
	if err := errors.Join(rest.anew("the next process", halfwayAgain), second.close()); err != nil {
		return err
	}

	return s.checkNoneAnew(sent, halfwayAgain)
}

// checkReaderDies kills a reader's process: its connections end.
func checkReaderDies(s *stage) error { return s.checkDies(refused) }

// checkReaderVanishes cuts the power of a reader's machine: the server gets no notice.
func checkReaderVanishes(s *stage) error { return s.checkDies(silent) }

// checkDies cuts a reader off for good, with acknowledged and other messages. The number of repeated messages depends
// on the speed of the death, and is not checked.
func (s *stage) checkDies(how state) error {
	first := s.start("reader")
	sent, err := first.publishHalfway()
	if err != nil {
		return err
	}
	rest, seen, err := first.read().readHalfway(sent)
	if err != nil {
		return err
	}
	first.to(how)
	if err := s.start("reader").read().readRest(rest, seen); err != nil {
		return fmt.Errorf("the process after one that died: %w", err)
	}
	return nil
}

// checkContext ends a subscription by its context, and continues in the same process.
func checkContext(s *stage) error {
	p := s.start("reader")
	sent, err := p.publishHalfway()
	if err != nil {
		return err
	}
	r := p.read()
	rest, seen, err := r.readHalfway(sent)
	if err != nil {
		return err
	}
	if err := r.end(); err != nil {
		return err
	}
	// A subscription whose context has ended before the start.
	if in, err := p.Subscribe(r.ctx, s.topic); err == nil {
		r.in = in
		if err := r.closes("Subscribe with a context that had ended"); err != nil {
			return err
		}
	}
	again := p.read()
	if err := again.readRest(rest, seen); err != nil {
		return fmt.Errorf("the next subscription: %w", err)
	}
	return errors.Join(rest.anew("the next subscription", halfwayAgain), again.end())
}
