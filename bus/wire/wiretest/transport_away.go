package wiretest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

const (
	awayTries = 20
	awayBatch = 50
	// awayMore is the limit for additional goroutines of a process after many tries.
	awayMore = 10
)

// checkRefused cuts a reader and a publisher off from a backend that refuses connections, lets both try in vain, and
// ends the cut: the same transports must work again, and so must a process that started meanwhile.
func checkRefused(s *stage) error {
	a, err := s.beginAway()
	if err != nil {
		return err
	}
	a.reader.to(refused)
	a.sender.to(refused)
	late := &line{state: refused}
	newcomer := s.startOn("newcomer", late)
	if err := a.fails(a.sender); err != nil {
		return err
	}
	if err := a.cannot(newcomer); err != nil {
		return fmt.Errorf("a process that starts meanwhile: %w", err)
	}
	if err := a.fails(newcomer); err != nil {
		return fmt.Errorf("a process that starts meanwhile: %w", err)
	}
	if err := a.resubscribe(); err != nil {
		return err
	}
	newcomer.to(whole)
	if err := a.mend(); err != nil {
		return err
	}
	if err := newcomer.read().all(newLedger(a.sent())); err != nil {
		return fmt.Errorf("a process that started meanwhile: %w", err)
	}
	return nil
}

// checkSilent uses a network that swallows all data. Calls must give up without help.
func checkSilent(s *stage) error {
	a, err := s.beginAway()
	if err != nil {
		return err
	}
	a.reader.to(silent)
	a.sender.to(silent)
	if err := a.fails(a.sender); err != nil {
		return err
	}
	return a.mend()
}

// away is a reader and a publisher whose backend goes away.
type away struct {
	stage          *stage
	reader, sender *process
	in             *reading
	ledger         *ledger
}

// sent returns all letters: a batch before the cut, a batch that fails at first, and a batch afterwards.
func (a *away) sent() map[string]int { return map[string]int{"a": 3 * awayBatch} }

func (s *stage) beginAway() (*away, error) {
	a := &away{stage: s, reader: s.start("reader"), sender: s.start("sender")}
	a.in, a.ledger = a.reader.read(), newLedger(a.sent())
	if err := a.sender.publish(letters("a", 0, awayBatch)...); err != nil {
		return nil, err
	}
	for len(a.ledger.need) > 2*awayBatch {
		msg, err := a.in.next(a.ledger.missing)
		if err != nil {
			return nil, err
		}
		if err := a.ledger.take(msg); err != nil {
			return nil, err
		}
		msg.Ack()
	}
	return a, nil
}

// fails expects an error from Publish.
func (a *away) fails(p *process) error {
	began := time.Now()
	err := p.stage.limited("Publish", func() error {
		if p.Publish(a.stage.topic, letters("a", awayBatch, 2*awayBatch)...) == nil {
			return errors.New("Publish returned nil while the backend was away")
		}
		return errGaveUp
	})
	if !errors.Is(err, errGaveUp) {
		return err
	}
	a.stage.tb.Logf("Publish gave up after %v", time.Since(began).Round(time.Millisecond))
	return nil
}

// cannot expects an error from p's first Publish to the topic, although there is no message.
func (a *away) cannot(p *process) error {
	return p.stage.limited("Publish", func() error {
		if p.Publish(a.stage.topic) == nil {
			return errors.New("Publish without messages, the first call for its topic, returned nil while the backend was away")
		}
		return nil
	})
}

var errGaveUp = errors.New("gave up")

// resubscribe tries to read from a refusing backend, again and again.
func (a *away) resubscribe() error {
	few := 0
	for try := range awayTries {
		ctx, cancel := context.WithCancel(a.stage.ctx)
		err := a.stage.limited("Subscribe", func() error {
			if _, err := a.reader.Subscribe(ctx, a.stage.topic); err == nil {
				return errors.New("Subscribe has no error while the backend is away")
			}
			return nil
		})
		cancel()
		if err != nil {
			return err
		}
		if try == 1 {
			few, _ = a.stage.goroutines()
		}
	}
	return a.stage.settle(fmt.Sprintf("after %d tries to subscribe", awayTries), few+awayMore)
}

// mend brings the backend back, and sends the failed batch and another. The reader must get every message.
func (a *away) mend() error {
	a.reader.to(whole)
	a.sender.to(whole)
	for n := 1; n <= 2; n++ { // the failed batch, and another
		if err := a.repeat(letters("a", n*awayBatch, (n+1)*awayBatch)); err != nil {
			return err
		}
	}
	if err := a.in.all(a.ledger); err != nil {
		return fmt.Errorf("after the backend has come back: %w", err)
	}
	return a.in.end()
}

// repeat sends a batch until the transport accepts the batch.
func (a *away) repeat(batch []*message.Message) error {
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := a.sender.publish(fresh(batch)...)
		if err == nil {
			return nil
		}
		if time.Since(began) > suitePatience {
			return fmt.Errorf("publish, repeated for %v since the backend has come back: %w", suitePatience, err)
		}
	}
}
