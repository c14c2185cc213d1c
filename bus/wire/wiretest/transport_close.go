package wiretest

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
)

// checkClose closes a process during a Publish, while a delivery waits for the receiver, and while other deliveries
// wait for an answer, which comes too late. The suite looks for leaked goroutines after every check.
func checkClose(s *stage) error {
	p := s.start("reader")
	if err := p.publish(letters("a", 0, 50)...); err != nil {
		return err
	}
	r := p.read()
	l := newLedger(map[string]int{"a": 50})
	var held []*message.Message
	for range 10 {
		msg, err := r.next(l.missing)
		if err != nil {
			return err
		}
		held = append(held, msg)
	}
	if err := p.closeBusy(); err != nil {
		return err
	}
	if !r.closed() {
		return errors.New("Close returned before the channel of a subscription was closed")
	}
	for _, msg := range held {
		msg.Ack() // too late
	}
	if err := p.isClosed(); err != nil {
		return err
	}
	return s.readAll("reader", l)
}

// closeBusy closes the process while it publishes to another topic.
func (p *process) closeBusy() error {
	publishing, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n := range 300 { // a limit, in case Close hangs
			if n == 3 {
				close(publishing)
			}
			if p.Publish("payment", letters("b", 100*n, 100*(n+1))...) != nil {
				return
			}
		}
	}()
	select {
	case <-publishing:
	case <-ended:
		return errors.New("Publish failed while another subscription was open")
	}
	if err := p.close(); err != nil {
		return fmt.Errorf("close with work in flight: %w", err)
	}
	return p.stage.limited("a Publish in flight during Close", func() error { <-ended; return nil })
}

// isClosed checks the calls after Close.
func (p *process) isClosed() error {
	if err := p.close(); err != nil {
		return fmt.Errorf("a second Close: %w", err)
	}
	if p.publish(letter("a", 50)) == nil {
		return errors.New("Publish after Close returned nil: the message is lost")
	}
	in, err := p.Subscribe(p.stage.ctx, p.stage.topic)
	if err == nil {
		return fmt.Errorf("Subscribe after Close returned a channel, %v, and no error", in)
	}
	return nil
}

// checkCloseAway closes processes that cannot reach the backend, with an open subscription and a Publish in flight.
func checkCloseAway(s *stage) error {
	for name, how := range map[string]state{"refuses": refused, "is silent": silent} {
		p := s.start("reader-" + fmt.Sprint(how))
		if err := p.publish(letter("a", 0)); err != nil {
			return err
		}
		r := p.read()
		if _, err := r.next(func() string { return "the message" }); err != nil {
			return err
		}
		p.to(how)
		trying := make(chan struct{})
		go func() {
			defer close(trying)
			_ = p.Publish(s.topic, letter("a", 1)) // may succeed if fast enough
		}()
		if err := p.close(); err != nil {
			return fmt.Errorf("while the backend %s: %w", name, err)
		}
		if err := r.closes("Close"); err != nil {
			return fmt.Errorf("while the backend %s: %w", name, err)
		}
		if err := s.limited("Publish", func() error { <-trying; return nil }); err != nil {
			return fmt.Errorf("after Close, while the backend %s: %w", name, err)
		}
	}
	return nil
}
