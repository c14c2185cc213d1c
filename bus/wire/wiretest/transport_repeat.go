package wiretest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

const (
	repeatCalls = 12
	repeatBatch = 150
	repeatKeys  = 5
)

// checkPublisherCloses ends publishers in the middle of a call, by Close.
func checkPublisherCloses(s *stage) error {
	return s.checkRepeat(6, func(p *process) error { return p.close() })
}

// checkPublisherDies ends publishers in the middle of a call, by a cut. A publisher may notice the cut late.
func checkPublisherDies(s *stage) error {
	return s.checkRepeat(3, func(p *process) error { p.to(refused); return nil })
}

// checkRepeat ends a publisher in the middle of a call. The next publisher sends every message again from the failed
// call on, several times. The messages of every successful call must arrive, in order when repeated ids are dropped.
func (s *stage) checkRepeat(rounds int, end func(p *process) error) error {
	sent := map[string]int{}
	var calls [][]*message.Message
	for len(calls) < rounds*repeatCalls {
		var batch []*message.Message
		for n := range repeatBatch {
			series := fmt.Sprintf("key-%d", n%repeatKeys)
			batch = append(batch, letter(series, sent[series]))
			sent[series]++
		}
		calls = append(calls, batch)
	}
	done := 0 // successful calls
	for round := range rounds {
		n, err := s.publishUntil(calls[done:min(len(calls), done+repeatCalls)], end)
		if err != nil {
			return fmt.Errorf("publisher %d: %w", round+1, err)
		}
		done += n
	}
	last := s.start("sender")
	for _, batch := range calls[done:] {
		if err := last.publish(batch...); err != nil {
			return err
		}
	}
	return s.readAll("reader", newLedger(sent))
}

// publishUntil publishes in a new process until end, after the third call, and returns the successful calls.
func (s *stage) publishUntil(calls [][]*message.Message, end func(p *process) error) (done int, err error) {
	p := s.start("sender")
	began := time.Now()
	third, ending, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n, batch := range calls {
			switch n {
			case 3:
				close(third)
			case len(calls) - 1:
				<-ending // at least one call is interrupted
			}
			if p.publish(fresh(batch)...) != nil {
				return
			}
			done++
		}
	}()
	select {
	case <-third:
	case <-ended:
		return done, fmt.Errorf("call %d failed before the publisher was ended", done+1)
	}
	time.Sleep(rand.N(time.Since(began)/2 + 1)) // during one of the next calls
	close(ending)
	if err := end(p); err != nil {
		return done, err
	}
	select {
	case <-ended:
	case <-time.After(2 * suitePatience):
		return 0, fmt.Errorf("Publish has not returned %v after the end of its process", 2*suitePatience)
	}
	return done, nil
}

// fresh returns a copy, because a message belongs to a single Publish.
func fresh(batch []*message.Message) []*message.Message {
	var messages []*message.Message
	for _, msg := range batch {
		messages = append(messages, msg.Copy())
	}
	return messages
}
