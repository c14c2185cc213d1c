package wiretest

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
)

func placeOf(msg *message.Message) string { return msg.Metadata[wire.MetaPosition] }

// halfway is a reader that stops in the middle: of so many messages, it acknowledged the first ones but for one, and holds some.
const (
	halfwaySent  = 1000
	halfwayKeys  = 7
	halfwayAcked = 600
	halfwayGap   = 570 // the one among the acknowledged that is not
	halfwayHeld  = 30
	// halfwayAgain is how many acknowledged ones may come again after an orderly end. A transport may keep places now and then
	// only, but not hardly ever.
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

// readHalfway reads until the middle, and returns the ledger of what must come to whoever goes on, and the places.
func (r *reading) readHalfway(sent map[string]int) (rest *ledger, places map[string]string, err error) {
	l, rest, places := newLedger(sent), newLedger(sent), map[string]string{}
	for n := 0; n < halfwayAcked+halfwayHeld; {
		msg, err := r.next(l.missing)
		if err != nil {
			return nil, nil, err
		}
		before := l.again
		if err := l.take(msg); err != nil {
			return nil, nil, err
		}
		places[msg.UUID] = placeOf(msg)
		if l.again > before { // the channel was another for a moment
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
	return rest, places, nil
}

// readRest reads what is left by who was there before.
func (r *reading) readRest(rest *ledger, places map[string]string) error {
	for !rest.complete() {
		msg, err := r.next(rest.missing)
		if err != nil {
			return fmt.Errorf("what was not acknowledged must come again: %w", err)
		}
		if err := rest.take(msg); err != nil {
			return err
		}
		if was, ok := places[msg.UUID]; ok && was != placeOf(msg) {
			return fmt.Errorf("message %s comes again from %s, and was at %s", msg.UUID, placeOf(msg), was)
		}
		msg.Ack()
	}
	return nil
}

// anew is an error when too much came again.
func (l *ledger) anew(who string, limit int) error {
	if l.again > limit {
		return fmt.Errorf("%s was given %d messages again that were acknowledged: the place is lost", who, l.again)
	}
	return nil
}

// checkPlace has one process of a group read half, the next one the rest, and a third one nothing but what was sent since.
func checkPlace(s *stage) error {
	first := s.start("reader")
	sent, err := first.publishHalfway()
	if err != nil {
		return err
	}
	rest, places, err := first.read().readHalfway(sent)
	if err != nil {
		return err
	}
	if err := first.close(); err != nil {
		return err
	}

	second := s.start("reader")
	if err := second.read().readRest(rest, places); err != nil {
		return fmt.Errorf("the next process: %w", err)
	}
	if err := errors.Join(rest.anew("the next process", halfwayAgain), second.close()); err != nil {
		return err
	}

	return s.checkNoneAnew(sent, halfwayAgain)
}

// checkReaderDies has a reader's process be killed: its connections end.
func checkReaderDies(s *stage) error { return s.checkDies(refused) }

// checkReaderVanishes has a reader's machine lose its power: nobody tells the server.
func checkReaderVanishes(s *stage) error { return s.checkDies(silent) }

// checkDies cuts a reader off for good, with messages acknowledged and not. How many of the former come again depends on how
// fast it died.
func (s *stage) checkDies(how state) error {
	first := s.start("reader")
	sent, err := first.publishHalfway()
	if err != nil {
		return err
	}
	rest, places, err := first.read().readHalfway(sent)
	if err != nil {
		return err
	}
	first.to(how)
	if err := s.start("reader").read().readRest(rest, places); err != nil {
		return fmt.Errorf("the process after one that died: %w", err)
	}
	return nil
}

// checkContext ends a subscription by its context, and goes on in the same process.
func checkContext(s *stage) error {
	p := s.start("reader")
	sent, err := p.publishHalfway()
	if err != nil {
		return err
	}
	r := p.read()
	rest, places, err := r.readHalfway(sent)
	if err != nil {
		return err
	}
	if err := r.end(); err != nil {
		return err
	}
	// One that has ended before it begins.
	if in, err := p.Subscribe(r.ctx, s.topic); err == nil {
		r.in = in
		if err := r.closes("it began with a context that had ended"); err != nil {
			return err
		}
	}
	again := p.read()
	if err := again.readRest(rest, places); err != nil {
		return fmt.Errorf("the next subscription: %w", err)
	}
	return errors.Join(rest.anew("the next subscription", halfwayAgain), again.end())
}
